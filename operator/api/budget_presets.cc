#include "operator/api/budget_presets.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "operator/api/codec_throttle.h"

namespace backfill::api {
namespace {

struct PresetRow {
  Preset preset{};
  std::string_view target = {};  // empty: as usual, as are those that are not set
  std::optional<OnNoTraffic> on_no_traffic = std::nullopt;
  std::optional<Reduce> reduce = std::nullopt;  // of metrics that may have several series
  bool critical_before_full = false;
};

// A latency is flat until shortly before saturation, so less of it is aimed at; without requests it
// is not there, nor is a share of them. Utilisation is linear, so nearly all of it can be used; the
// usual critical, twice the bound, may be more than there is. A lag over several series is one
// thing: of the partitions of a topic all together, of replicas the last one.
constexpr std::array kPresets = {
    PresetRow{Preset::kLatencyP99, "0.70", OnNoTraffic::kProbe, std::nullopt},
    PresetRow{Preset::kHttpErrorRatio, "", OnNoTraffic::kProbe, std::nullopt},
    PresetRow{Preset::kUtilization, "0.95", std::nullopt, std::nullopt, true},
    PresetRow{Preset::kKafkaLag, "", std::nullopt, Reduce::kSum},
    PresetRow{Preset::kReplicaLag, "", std::nullopt, Reduce::kMax},
};
// Of all budgets.
constexpr std::string_view kUsualTarget = "0.85";
constexpr OnNoTraffic kUsualOnNoTraffic = OnNoTraffic::kMissing;
constexpr Reduce kUsualReduce = Reduce::kNone;
// From there on there is no room for a critical before 1; nor is it a share of 1 that is meant.
constexpr double kNearlyFull = 0.99;

// Halfway from the bound to all that there is.
std::optional<std::string> CriticalBeforeFull(const std::string& max) {
  double bound = 0;
  const char* end = max.data() + max.size();
  const auto parsed = std::from_chars(max.data(), end, bound, std::chars_format::fixed);
  if (parsed.ec != std::errc{} || parsed.ptr != end || bound >= kNearlyFull) return std::nullopt;
  return fmt::format("{:.6g}", (bound + 1) / 2);
}

PresetRow RowOf(const Budget& budget) {
  if (!budget.preset) return {};
  const auto row = std::ranges::find(kPresets, *budget.preset, &PresetRow::preset);
  return row == kPresets.end() ? PresetRow{} : *row;
}

}  // namespace

Budget Filled(const Budget& budget) {
  const PresetRow row = RowOf(budget);
  Budget out = budget;
  if (out.critical.empty() && row.critical_before_full)
    out.critical = CriticalBeforeFull(out.max).value_or("");
  if (out.target.empty()) out.target = row.target.empty() ? kUsualTarget : row.target;
  if (!out.on_no_traffic) out.on_no_traffic = row.on_no_traffic.value_or(kUsualOnNoTraffic);
  const bool may_be_several = (out.prometheus || out.scrape) && out.scope == BudgetScope::kGlobal;
  if (!out.reduce) out.reduce = may_be_several ? row.reduce.value_or(kUsualReduce) : kUsualReduce;
  return out;
}

std::vector<PresetField> ByPreset(const Budget& budget) {
  Budget plain = budget;
  plain.preset.reset();
  const Budget with = Filled(budget), without = Filled(plain);
  std::vector<PresetField> fields;
  if (with.critical != without.critical) fields.push_back({"critical", with.critical});
  if (with.target != without.target) fields.push_back({"target", with.target});
  if (with.on_no_traffic != without.on_no_traffic)
    fields.push_back({"onNoTraffic", std::string(ToString(*with.on_no_traffic))});
  if (with.reduce != without.reduce)
    fields.push_back({"reduce", std::string(ToString(*with.reduce))});
  return fields;
}

}  // namespace backfill::api
