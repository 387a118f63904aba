#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <utility>

#include "operator/decision_log/decision_log.h"
#include "operator/decision_log/fields.h"

namespace backfill::decision_log {
namespace {

using Json = nlohmann::json;

constexpr int kMaxDepth = 16;
constexpr std::size_t kMaxList = 2000;
// So far from 0 a time may be; differences do not overflow.
constexpr std::int64_t kFarthest = std::int64_t{1} << 61;
constexpr double kMostRate = 1e12;

// Reads what it finds, and remembers the first thing that is wrong.
class Reader {
 public:
  explicit Reader(const Json& json) : json_(&json) {
    if (!json.is_object()) problem_ = "is not an object";
  }

  template <typename T>
  void operator()(const char* name, T& field) {
    if (!problem_.empty()) return;
    const auto it = json_->find(name);
    if (it == json_->end()) return;
    std::string problem = Get(*it, field);
    if (!problem.empty()) problem_ = std::string(name) + " " + problem;
  }
  [[nodiscard]] const std::string& problem() const { return problem_; }

  template <typename T>
  static std::string Get(const Json& json, std::optional<T>& field) {
    return Get(json, field.emplace());
  }
  static std::string Get(const Json& json, bool& field) {
    if (!json.is_boolean()) return "is not true or false";
    field = json.get<bool>();
    return "";
  }
  static std::string Get(const Json& json, std::string& field) {
    if (!json.is_string()) return "is not a text";
    field = json.get<std::string>();
    return "";
  }
  static std::string Get(const Json& json, double& field) {
    if (json == "NaN") {
      field = std::numeric_limits<double>::quiet_NaN();
    } else if (json == "Infinity" || json == "-Infinity") {
      field = json == "Infinity" ? INFINITY : -INFINITY;
    } else if (json.is_number()) {
      field = json.get<double>();
    } else {
      return "is not a number";
    }
    return "";
  }
  static std::string Get(const Json& json, int& field) {
    std::int64_t value = 0;
    std::string problem = Whole(json, std::numeric_limits<int>::max(), value);
    field = static_cast<int>(value);
    return problem;
  }
  static std::string Get(const Json& json, std::uint64_t& field) {
    std::int64_t value = 0;
    std::string problem = Whole(json, kFarthest, value);
    if (problem.empty() && value < 0) return "is negative";
    field = static_cast<std::uint64_t>(value);
    return problem;
  }
  static std::string Get(const Json& json, Duration& field) {
    std::int64_t value = 0;
    std::string problem = Whole(json, kFarthest, value);
    field = Duration(value);
    return problem;
  }
  static std::string Get(const Json& json, Time& field) {
    Duration since{};
    std::string problem = Get(json, since);
    field = Time(since);
    return problem;
  }
  static std::string Get(const Json& json, throttle::History& field) {
    std::vector<throttle::History::Entry> entries;
    std::string problem = Get(json, entries);
    field = throttle::History({entries.begin(), entries.end()});
    return problem;
  }
  template <typename T>
  static std::string Get(const Json& json, std::vector<T>& field) {
    if (!json.is_array()) return "is not a list";
    if (json.size() > kMaxList) return "is too long";
    for (const Json& item : json) {
      std::string problem = Get(item, field.emplace_back());
      if (!problem.empty()) return problem;
    }
    return "";
  }
  template <typename T>
  static std::string Get(const Json& json, T& field) {
    if constexpr (std::is_enum_v<T>) {
      for (const auto& [value, name] : Names<T>::kAll) {
        if (json != name) continue;
        field = value;
        return "";
      }
      return "is not one of its names";
    } else {
      Reader reader(json);
      Fields(reader, field);
      return reader.problem().empty() ? "" : "> " + reader.problem();
    }
  }

 private:
  static std::string Whole(const Json& json, std::int64_t most, std::int64_t& value) {
    if (!json.is_number_integer()) return "is not a whole number";
    if (json.is_number_unsigned() && json.get<std::uint64_t>() > static_cast<std::uint64_t>(most))
      return "is out of range";
    value = json.get<std::int64_t>();
    return value >= -most && value <= most ? "" : "is out of range";
  }

  const Json* json_;
  std::string problem_;
};

bool IsRate(double rate) { return rate >= 0 && rate <= kMostRate; }
bool IsRate(const std::optional<double>& rate) { return !rate || IsRate(*rate); }
bool IsCount(int count) { return count >= 0 && count <= 1'000'000; }
bool IsPressure(double pressure) { return std::abs(pressure) <= kMostRate; }

bool IsSound(const throttle::History& history) {
  return std::all_of(history.entries().begin(), history.entries().end(), [](const auto& e) {
    return IsPressure(e.value) && IsPressure(e.least) && e.lasted >= Duration::zero() &&
           e.lasted <= std::chrono::hours(24);
  });
}

bool IsSound(const throttle::BudgetMemory& memory) {
  return IsPressure(memory.pressure.value_or(0)) && IsPressure(memory.value.value_or(0)) &&
         memory.recent.size() <= 3 &&
         std::all_of(memory.recent.begin(), memory.recent.end(), IsPressure) &&
         IsCount(memory.critical_in_a_row) && IsCount(memory.good_in_a_row) && IsSound(memory.past);
}

// A governor can go on from it.
bool IsSound(const throttle::GovernorMemory& memory) {
  return IsRate(memory.rate) && IsRate(memory.good) && IsRate(memory.ceiling) &&
         IsCount(memory.holds) && IsRate(memory.before_hold) &&
         memory.hold_began.has_value() == memory.held_since.has_value() &&
         IsPressure(memory.cut_pressure) && IsPressure(memory.pressure) &&
         IsRate(memory.before_missing) && IsRate(memory.reported) && IsSound(memory.sent) &&
         std::all_of(memory.budgets.begin(), memory.budgets.end(),
                     [](const throttle::BudgetMemory& b) { return IsSound(b); });
}

Error Invalid(const std::string& what) { return Error{ErrorCode::kInvalid, what}; }

template <typename T>
std::string Read(const Json& json, const char* name, T& field) {
  const auto it = json.find(name);
  if (it == json.end()) return std::string(name) + " is missing";
  const std::string problem = Reader::Get(*it, field);
  return problem.empty() ? "" : std::string(name) + " " + problem;
}

std::string Read(const Json& json, const char* name, WallTime& field) {
  std::string text;
  if (std::string problem = Read<std::string>(json, name, text); !problem.empty()) return problem;
  const std::optional<WallTime> time = ParseWallTime(text);
  if (time) field = *time;
  return time ? "" : std::string(name) + " is not a time";
}

Result<std::optional<Line>> ParseStart(const Json& json) {
  StartLine line;
  int version = 0;
  std::string problem = Read(json, "version", version);
  if (problem.empty() && version != 1) problem = "is of a version that is not known here";
  if (problem.empty()) problem = Read(json, "governor", line.governor);
  if (problem.empty()) problem = Read(json, "at", line.at);
  if (problem.empty()) problem = Read(json, "options", line.options);
  if (problem.empty()) problem = line.options.Validate();
  if (problem.empty()) problem = Read(json, "memory", line.memory);
  if (problem.empty() && !IsSound(line.memory)) problem = "memory is of no governor";
  if (!problem.empty()) return Invalid("a start: " + problem);
  return std::optional<Line>(std::move(line));
}

Result<std::optional<Line>> ParseStep(const Json& json) {
  StepLine line;
  std::string problem = Read(json, "governor", line.governor);
  if (problem.empty()) problem = Read(json, "at", line.at);
  if (problem.empty()) problem = Read(json, "now", line.now);
  if (problem.empty()) problem = Read(json, "in", line.inputs);
  if (problem.empty()) problem = Read(json, "out", line.decision);
  if (!problem.empty()) return Invalid("a step: " + problem);
  return std::optional<Line>(std::move(line));
}

}  // namespace

Result<std::optional<Line>> Parse(std::string_view text) {
  if (text.size() > kMaxLine || text.find("\"throttle\"") == std::string_view::npos)
    return std::optional<Line>();
  bool deep = false;
  const auto shallow = [&deep](int depth, Json::parse_event_t, Json&) {
    deep = deep || depth > kMaxDepth;
    return !deep;
  };
  const Json json = Json::parse(text, shallow, /*allow_exceptions=*/false);
  if (deep || json.is_discarded() || !json.is_object()) return std::optional<Line>();
  const auto kind = json.find("throttle");
  if (kind == json.end()) return std::optional<Line>();
  if (*kind == "start") return ParseStart(json);
  if (*kind == "step") return ParseStep(json);
  return std::optional<Line>();
}

}  // namespace backfill::decision_log
