#include "bench/throttle/scenario.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <numbers>
#include <sstream>
#include <system_error>

#include "bench/throttle/plant.h"

namespace backfill::throttle_bench {
namespace {

constexpr int kMaxDuration = 100'000;  // s
constexpr std::size_t kMaxScenarios = 100;

// yaml-cpp throws; ParseScenario() is where that ends.
struct Problem {
  std::string text;
  YAML::Mark mark;
};

[[noreturn]] void Fail(const YAML::Node& at, const std::string& text) {
  throw Problem{text, at.Mark()};
}

void AllowOnly(const YAML::Node& map, std::initializer_list<std::string_view> names) {
  if (!map.IsMap()) Fail(map, "must be a map");
  for (const auto& entry : map) {
    const auto name = entry.first.as<std::string>();
    if (std::find(names.begin(), names.end(), name) == names.end())
      Fail(entry.first, "unknown field " + name);
  }
}

double Number(const YAML::Node& node) {
  const auto value = node.as<double>();
  if (!std::isfinite(value) || std::abs(value) > 1e9) Fail(node, "is out of range");
  return value;
}

void Read(const YAML::Node& map, const char* name, double& to) {
  if (const YAML::Node node = map[name]) to = Number(node);
}

void Read(const YAML::Node& map, const char* name, int least, int& to) {
  const YAML::Node node = map[name];
  if (!node) return;
  to = node.as<int>();
  if (to < least || to > kMaxDuration) Fail(node, "is out of range");
}

Span ReadSpan(const YAML::Node& map) {
  if (!map["from"] || !map["to"]) Fail(map, "needs from and to");
  return {.from = Number(map["from"]), .to = Number(map["to"])};
}

std::vector<Span> ReadSpans(const YAML::Node& list) {
  std::vector<Span> spans;
  for (const auto& item : list) {
    AllowOnly(item, {"from", "to"});
    spans.push_back(ReadSpan(item));
  }
  return spans;
}

Signal ReadSignal(const YAML::Node& node, double base) {
  Signal signal;
  signal.base = base;
  if (!node) return signal;
  if (node.IsScalar()) {
    signal.base = Number(node);
    return signal;
  }
  AllowOnly(node, {"base", "sine", "steps", "repeated"});
  Read(node, "base", signal.base);
  if (const YAML::Node sine = node["sine"]) {
    AllowOnly(sine, {"amplitude", "period"});
    Read(sine, "amplitude", signal.amplitude);
    Read(sine, "period", signal.period);
    if (signal.period <= 0) Fail(sine, "period must be more than 0");
  }
  for (const auto& item : node["steps"]) {
    AllowOnly(item, {"from", "to", "value"});
    signal.steps.push_back({.span = ReadSpan(item), .value = Number(item["value"])});
  }
  for (const auto& item : node["repeated"]) {
    AllowOnly(item, {"period", "from", "to", "value"});
    signal.repeated.push_back({.period = Number(item["period"]),
                               .within = ReadSpan(item),
                               .value = Number(item["value"])});
    if (signal.repeated.back().period <= 0) Fail(item, "period must be more than 0");
  }
  return signal;
}

Shape ReadShape(const YAML::Node& node) {
  const auto name = node.as<std::string>("Latency");
  if (name == "Latency") return Shape::kLatency;
  if (name == "Cliff") return Shape::kCliff;
  if (name == "Linear") return Shape::kLinear;
  Fail(node, "must be Latency, Cliff or Linear");
}

throttle::OnNoTraffic ReadOnNoTraffic(const YAML::Node& node) {
  const auto name = node.as<std::string>("Missing");
  for (const auto value : {throttle::OnNoTraffic::kMissing, throttle::OnNoTraffic::kZero,
                           throttle::OnNoTraffic::kProbe}) {
    if (name == throttle::ToString(value)) return value;
  }
  Fail(node, "must be Missing, Zero or Probe");
}

std::vector<Outage> ReadOutages(const YAML::Node& list) {
  std::vector<Outage> outages;
  for (const auto& item : list) {
    AllowOnly(item, {"from", "to", "metric"});
    const auto metric = item["metric"].as<std::string>();
    if (metric != "Missing" && metric != "Stale") Fail(item, "metric must be Missing or Stale");
    outages.push_back(
        {.span = ReadSpan(item), .seen = metric == "Stale" ? Seen::kStale : Seen::kMissing});
  }
  return outages;
}

std::vector<Gate> ReadGates(const YAML::Node& map) {
  std::vector<Gate> gates;
  for (const auto& entry : map) {
    AllowOnly(entry.second, {"most", "least"});
    Gate gate{.figure = entry.first.as<std::string>(), .most = {}, .least = {}};
    if (entry.second["most"]) gate.most = Number(entry.second["most"]);
    if (entry.second["least"]) gate.least = Number(entry.second["least"]);
    const auto& names = FigureNames();
    if (std::find(names.begin(), names.end(), gate.figure) == names.end())
      Fail(entry.first, "unknown figure " + gate.figure);
    gates.push_back(std::move(gate));
  }
  return gates;
}

Scenario ReadScenario(const YAML::Node& root) {
  AllowOnly(root, {"name",      "title",       "about",   "duration",     "foreground",  "capacity",
                   "shape",     "outages",     "paused",  "operatorDown", "nanWhenIdle", "stepAt",
                   "startRate", "window",      "scrape",  "delay",        "refresh",     "noise",
                   "target",    "onNoTraffic", "variant", "gates"});
  Scenario s;
  s.name = root["name"].as<std::string>();
  s.title = root["title"].as<std::string>();
  Read(root, "duration", 1, s.duration);
  s.foreground = ReadSignal(root["foreground"], 500);
  s.capacity = ReadSignal(root["capacity"], 1000);
  s.shape = ReadShape(root["shape"]);
  s.outages = ReadOutages(root["outages"]);
  s.paused = ReadSpans(root["paused"]);
  s.operator_down = ReadSpans(root["operatorDown"]);
  s.nan_when_idle = root["nanWhenIdle"].as<bool>(false);
  if (root["stepAt"]) {
    s.step_at = 0;
    Read(root, "stepAt", 0, *s.step_at);
  }
  Read(root, "startRate", s.start_rate);
  Read(root, "window", 1, s.window);
  Read(root, "scrape", 1, s.scrape);
  Read(root, "delay", 0, s.delay);
  Read(root, "refresh", 0, s.refresh);
  Read(root, "noise", s.noise);
  Read(root, "target", s.target);
  s.on_no_traffic = ReadOnNoTraffic(root["onNoTraffic"]);
  s.variant = root["variant"].as<bool>(false);
  s.gates = ReadGates(root["gates"]);
  return s;
}

}  // namespace

double Signal::At(double t) const {
  double value = base;
  if (amplitude != 0) value += amplitude * std::sin(2 * std::numbers::pi * t / period);
  for (const Repeated& r : repeated) {
    if (r.within.Has(std::fmod(t, r.period))) value = r.value;
  }
  for (const Step& step : steps) {
    if (step.span.Has(t)) value = step.value;
  }
  return value;
}

Seen Scenario::SeenAt(double t) const {
  for (const Outage& outage : outages) {
    if (outage.span.Has(t)) return outage.seen;
  }
  return Seen::kAll;
}

bool Scenario::PausedAt(double t) const {
  return std::any_of(paused.begin(), paused.end(), [&](const Span& s) { return s.Has(t); });
}

bool Scenario::OperatorDownAt(double t) const {
  return std::any_of(operator_down.begin(), operator_down.end(),
                     [&](const Span& s) { return s.Has(t); });
}

Result<Scenario> ParseScenario(const std::string& text) {
  const auto invalid = [](const YAML::Mark& mark, const std::string& what) {
    const std::string line = mark.line >= 0 ? "line " + std::to_string(mark.line + 1) + ": " : "";
    return Error{ErrorCode::kInvalid, line + what};
  };
  try {
    return ReadScenario(YAML::Load(text));
  } catch (const Problem& e) {
    return invalid(e.mark, e.text);
  } catch (const YAML::Exception& e) {
    return invalid(e.mark, e.msg);
  }
}

Result<std::vector<Scenario>> ReadScenarios(const std::string& folder) {
  std::vector<std::filesystem::path> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".yaml") files.push_back(entry.path());
  }
  if (error) return Error{ErrorCode::kNotFound, folder + ": " + error.message()};
  if (files.empty()) return Error{ErrorCode::kNotFound, "no scenarios in " + folder};
  if (files.size() > kMaxScenarios)
    return Error{ErrorCode::kInvalid, "more than 100 scenarios in " + folder};
  std::sort(files.begin(), files.end());
  std::vector<Scenario> scenarios;
  for (const auto& file : files) {
    std::ostringstream text;
    text << std::ifstream(file).rdbuf();
    scenarios.push_back(TRY(ParseScenario(text.str()).Annotate(file.filename().string())));
  }
  return scenarios;
}

}  // namespace backfill::throttle_bench
