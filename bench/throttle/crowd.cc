#include "bench/throttle/crowd.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <utility>

namespace backfill::throttle_bench {
namespace {

constexpr std::size_t kMaxCrowds = 20;

std::string MissedGates(const CrowdFigures& figures, const std::vector<Gate>& gates) {
  std::string missed;
  for (const Gate& gate : gates) {
    const auto it = figures.find(gate.figure);
    const std::string before = missed.empty() ? "" : ", ";
    if (it == figures.end()) {
      missed += before + "no figure " + gate.figure;
    } else if (gate.most && !(it->second <= *gate.most)) {  // NaN misses either
      missed += fmt::format("{}{} {:.2f} > {:g}", before, gate.figure, it->second, *gate.most);
    } else if (gate.least && !(it->second >= *gate.least)) {
      missed += fmt::format("{}{} {:.2f} < {:g}", before, gate.figure, it->second, *gate.least);
    }
  }
  return missed;
}

Crowd ReadCrowd(const YAML::Node& root) {
  static const std::set<std::string> kFields = {"name", "title", "kind",   "count", "duration",
                                                "hot",  "churn", "cutOff", "gates"};
  for (const auto& entry : root) {
    if (!kFields.contains(entry.first.as<std::string>()))
      throw YAML::Exception(entry.first.Mark(), "unknown field " + entry.first.as<std::string>());
  }
  Crowd crowd;
  crowd.name = root["name"].as<std::string>();
  crowd.title = root["title"].as<std::string>();
  const auto kind = root["kind"].as<std::string>();
  if (kind == "Partitions") {
    crowd.kind = CrowdKind::kPartitions;
  } else if (kind == "Backfills") {
    crowd.kind = CrowdKind::kBackfills;
  } else if (kind == "Group") {
    crowd.kind = CrowdKind::kGroup;
  } else if (kind == "Workers") {
    crowd.kind = CrowdKind::kWorkers;
  } else {
    throw YAML::Exception(root["kind"].Mark(),
                          "kind must be Partitions, Backfills, Group or Workers");
  }
  crowd.count = root["count"].as<int>(crowd.count);
  crowd.duration = root["duration"].as<int>(crowd.duration);
  if (crowd.count < 1 || crowd.count > 10'000 || crowd.duration < 1 || crowd.duration > 86'400)
    throw YAML::Exception(root.Mark(), "count or duration is out of range");
  crowd.hot = root["hot"].as<double>(crowd.hot);
  crowd.churn = root["churn"].as<double>(crowd.churn);
  crowd.cut_off = root["cutOff"].as<double>(crowd.cut_off);
  for (const auto& entry : root["gates"]) {
    Gate gate{.figure = entry.first.as<std::string>(), .most = {}, .least = {}};
    if (entry.second["most"]) gate.most = entry.second["most"].as<double>();
    if (entry.second["least"]) gate.least = entry.second["least"].as<double>();
    crowd.gates.push_back(std::move(gate));
  }
  return crowd;
}

}  // namespace

Result<Crowd> ParseCrowd(const std::string& text) {
  try {
    return ReadCrowd(YAML::Load(text));
  } catch (const YAML::Exception& e) {
    return Error{ErrorCode::kInvalid, e.what()};
  }
}

Result<std::vector<Crowd>> ReadCrowds(const std::string& folder) {
  std::vector<std::filesystem::path> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".yaml") files.push_back(entry.path());
  }
  if (error) return Error{ErrorCode::kNotFound, folder + ": " + error.message()};
  if (files.empty() || files.size() > kMaxCrowds)
    return Error{ErrorCode::kNotFound, "no scenarios, or too many, in " + folder};
  std::sort(files.begin(), files.end());
  std::vector<Crowd> crowds;
  for (const auto& file : files) {
    std::ostringstream text;
    text << std::ifstream(file).rdbuf();
    crowds.push_back(TRY(ParseCrowd(text.str()).Annotate(file.filename().string())));
  }
  return crowds;
}

std::vector<CrowdResult> HoldCrowds(const std::vector<Crowd>& crowds, std::uint64_t first_seed,
                                    int seeds) {
  std::vector<CrowdResult> results;
  for (const Crowd& crowd : crowds) {
    CrowdResult& result = results.emplace_back();
    result.title = crowd.title;
    for (int i = 0; i < seeds; ++i) {
      for (const auto& [name, value] : Simulate(crowd, first_seed + static_cast<std::uint64_t>(i)))
        result.figures[name] += value / seeds;
    }
    result.missed = MissedGates(result.figures, crowd.gates);
  }
  return results;
}

std::string ToMarkdown(const std::vector<CrowdResult>& results, int seeds) {
  std::string out = fmt::format(
      "\n## Several at once\n\n"
      "{}. What the figures are: `bench/throttle/README.md`.\n\n| scenario | figures | gate |\n"
      "|---|---|---|\n",
      seeds == 1 ? "One seed" : fmt::format("{} seeds", seeds));
  for (const CrowdResult& result : results) {
    std::string figures;
    for (const auto& [name, value] : result.figures)
      figures += fmt::format("{}{} {:.2f}", figures.empty() ? "" : ", ", name, value);
    fmt::format_to(std::back_inserter(out), "| {} | {} | {} |\n", result.title, figures,
                   result.missed.empty() ? "kept" : "MISSED: " + result.missed);
  }
  return out;
}

}  // namespace backfill::throttle_bench
