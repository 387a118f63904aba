#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>

#include "operator/api/cel_twin.h"
#include "operator/api/codec.h"

namespace backfill::api {
namespace {

using namespace std::chrono_literals;
using Kind = Node::Kind;
using Millis = std::chrono::milliseconds;

// What the schema refuses is passed over: nullopt, or no map.
std::optional<double> Decimal(const Node* node) {
  if (node == nullptr || !node->Is(Kind::kString) || node->text.starts_with('-'))
    return std::nullopt;
  double value = 0;
  const char* end = node->text.data() + node->text.size();
  const auto parsed = std::from_chars(node->text.data(), end, value, std::chars_format::fixed);
  if (parsed.ec != std::errc{} || parsed.ptr != end) return std::nullopt;
  return value;
}
std::optional<double> DecimalAt(const Node& self, std::string_view path) {
  return Decimal(self.Find(path));
}

std::optional<Integer> WholeAt(const Node& self, std::string_view path) {
  const Node* node = self.At(path, Kind::kInteger);
  return node == nullptr ? std::nullopt : std::optional(node->integer);
}

bool NotAbove(const Node& self, std::string_view low, std::string_view high) {
  const auto a = WholeAt(self, low), b = WholeAt(self, high);
  return !a || !b || *b < 1 || *a <= *b;
}

template <std::int64_t kMin, std::int64_t kMax>
bool LastsBetween(const Node& self, const Node& /*before*/) {
  const auto duration = self.Is(Kind::kString) ? ParseDuration(self.text) : std::nullopt;
  return !duration || (*duration >= Millis(kMin) && *duration <= Millis(kMax));
}

constexpr std::int64_t kSecond = 1000, kMinute = 60 * kSecond, kHour = 60 * kMinute;

bool OneMetric(const Node& self, const Node& /*before*/) {
  if (!self.Is(Kind::kMap) || self.has_unknown_fields) return true;
  int given = 0;
  for (const char* metric : {"prometheus", "scrape", "http", "workers"})
    given += self.Find(metric) != nullptr ? 1 : 0;
  return given == 1;
}

bool OneBound(const Node& self, const Node& /*before*/) {
  if (!self.Is(Kind::kMap) || self.has_unknown_fields) return true;
  return (self.Find("max") != nullptr) != (self.Find("min") != nullptr);
}

// An ideal that is no number is the schema's business.
bool AboveIdeal(const Node& self, const Node& /*before*/) {
  const auto max = DecimalAt(self, "max");
  const auto ideal = self.Find("ideal") == nullptr ? 0.0 : DecimalAt(self, "ideal");
  return !max || !ideal || *max > *ideal;
}

bool BelowIdeal(const Node& self, const Node& /*before*/) {
  const auto min = DecimalAt(self, "min");
  const auto ideal = self.Find("ideal") == nullptr ? 1.0 : DecimalAt(self, "ideal");
  return !min || !ideal || *min < *ideal;
}

bool WindowHasTwoScrapes(const Node& self, const Node& /*before*/) {
  const std::string as = self.TextAt("scrape.as");
  if (as != "Rate" && as != "Quantile") return true;
  const auto interval = ParseDuration(self.TextAt("timing.interval"));
  const std::string given = self.TextAt("timing.window");
  const auto window = given.empty() ? std::optional<Millis>(60s) : ParseDuration(given);
  return !interval || !window || 2 * *interval <= *window;
}

bool IsPartition(const Node& budget) { return budget.TextAt("scope") == "Partition"; }

bool PartitionsHaveBudgets(const Node& self, const Node& /*before*/) {
  const Node* budgets = self.At("budgets", Kind::kList);
  if (!self.Is(Kind::kMap) || self.has_unknown_fields || budgets == nullptr) return true;
  return (self.Find("partitionBy") != nullptr) == std::ranges::any_of(budgets->items, IsPartition);
}

constexpr std::array kTwins = {
    Twin{"!has(self.maxRecordsPerSecond) || self.maxRecordsPerSecond < 1 || "
         "self.minRecordsPerSecond <= self.maxRecordsPerSecond",
         [](const Node& self, const Node&) {
           return NotAbove(self, "minRecordsPerSecond", "maxRecordsPerSecond");
         }},
    Twin{"!has(self.initialRecordsPerSecond) || self.minRecordsPerSecond <= "
         "self.initialRecordsPerSecond",
         [](const Node& self, const Node&) {
           return NotAbove(self, "minRecordsPerSecond", "initialRecordsPerSecond");
         }},
    Twin{"!has(self.initialRecordsPerSecond) || !has(self.maxRecordsPerSecond) || "
         "self.initialRecordsPerSecond <= self.maxRecordsPerSecond",
         [](const Node& self, const Node&) {
           return NotAbove(self, "initialRecordsPerSecond", "maxRecordsPerSecond");
         }},
    Twin{"!has(self.initialRecordsPerSecond) || self.budgets.size() > 0",
         [](const Node& self, const Node&) {
           const Node* budgets = self.At("budgets", Kind::kList);
           return self.Find("initialRecordsPerSecond") == nullptr || budgets == nullptr ||
                  !budgets->items.empty();
         }},
    Twin{"!has(self.group) || !has(self.partitionBy)",
         [](const Node& self, const Node&) {
           return self.Find("group") == nullptr || self.Find("partitionBy") == nullptr;
         }},
    Twin{"has(self.partitionBy) == (has(self.budgets) && self.budgets.exists(b, b.scope == "
         "'Partition'))",
         PartitionsHaveBudgets},
    Twin{"(self.scope == 'Partition') == has(self.partitionLabel)",
         [](const Node& self, const Node&) {
           const std::string scope = self.TextAt("scope");
           if (self.has_unknown_fields || (scope != "Partition" && scope != "Global")) return true;
           return IsPartition(self) == (self.Find("partitionLabel") != nullptr);
         }},
    Twin{"self.scope == 'Global' || has(self.prometheus)",
         [](const Node& self, const Node&) {
           return !IsPartition(self) || self.Find("prometheus") != nullptr;
         }},
    Twin{"self.scope == 'Global' || !has(self.reduce) || self.reduce == 'None'",
         [](const Node& self, const Node&) {
           const std::string reduce = self.TextAt("reduce");
           return !IsPartition(self) || reduce.empty() || reduce == "None";
         }},
    Twin{"[has(self.prometheus), has(self.scrape), has(self.http), "
         "has(self.workers)].exists_one(given, given)",
         OneMetric},
    Twin{"has(self.max) != has(self.min)", OneBound},
    Twin{"!has(self.max) || double(self.max) > (has(self.ideal) ? double(self.ideal) : 0.0)",
         AboveIdeal},
    Twin{"!has(self.min) || double(self.min) < (has(self.ideal) ? double(self.ideal) : 1.0)",
         BelowIdeal},
    Twin{"!has(self.critical) || !has(self.max) || double(self.critical) > double(self.max)",
         [](const Node& self, const Node&) {
           const auto critical = DecimalAt(self, "critical"), max = DecimalAt(self, "max");
           return !critical || !max || *critical > *max;
         }},
    Twin{"!has(self.critical) || !has(self.min) || double(self.critical) < double(self.min)",
         [](const Node& self, const Node&) {
           const auto critical = DecimalAt(self, "critical"), min = DecimalAt(self, "min");
           return !critical || !min || *critical < *min;
         }},
    Twin{"!has(self.preset) || !has(self.min)",
         [](const Node& self, const Node&) {
           return self.Find("preset") == nullptr || self.Find("min") == nullptr;
         }},
    Twin{"!has(self.scrape) || self.scrape.__as__ == 'Value' || duration(self.timing.interval) + "
         "duration(self.timing.interval) <= duration(has(self.timing.window) ? self.timing.window "
         ": '60s')",
         WindowHasTwoScrapes},
    Twin{"!has(self.quantile) || self.__as__ == 'Quantile'",
         [](const Node& self, const Node&) {
           return self.Find("quantile") == nullptr || !self.At("as", Kind::kString) ||
                  self.TextAt("as") == "Quantile";
         }},
    Twin{"double(self) > 0.0 && double(self) < 1.0",
         [](const Node& self, const Node&) {
           const auto value = Decimal(&self);
           return !value || (*value > 0 && *value < 1);
         }},
    Twin{"double(self) >= 0.5 && double(self) <= 0.97",
         [](const Node& self, const Node&) {
           const auto value = Decimal(&self);
           return !value || (*value >= 0.5 && *value <= 0.97);
         }},
    Twin{"double(self) >= 1.0 && double(self) <= 10.0",
         [](const Node& self, const Node&) {
           const auto value = Decimal(&self);
           return !value || (*value >= 1 && *value <= 10);
         }},
    Twin{"double(self) >= 0.01 && double(self) <= 1.0",
         [](const Node& self, const Node&) {
           const auto value = Decimal(&self);
           return !value || (*value >= 0.01 && *value <= 1);
         }},
    Twin{"duration(self) >= duration('100ms') && duration(self) <= duration('1m')",
         LastsBetween<100, kMinute>},
    Twin{"duration(self) >= duration('10s') && duration(self) <= duration('10m')",
         LastsBetween<10 * kSecond, 10 * kMinute>},
    Twin{"duration(self) >= duration('10s') && duration(self) <= duration('1h')",
         LastsBetween<10 * kSecond, kHour>},
    Twin{"duration(self) >= duration('250ms') && duration(self) <= duration('5m')",
         LastsBetween<250, 5 * kMinute>},
    Twin{"duration(self) >= duration('1s') && duration(self) <= duration('10m')",
         LastsBetween<kSecond, 10 * kMinute>},
    Twin{"duration(self) >= duration('5s') && duration(self) <= duration('1h')",
         LastsBetween<5 * kSecond, kHour>},
    Twin{"duration(self) >= duration('10s') && duration(self) <= duration('24h')",
         LastsBetween<10 * kSecond, 24 * kHour>},
    Twin{"duration(self) >= duration('20s') && duration(self) < duration('50s')",
         LastsBetween<20 * kSecond, 50 * kSecond - 1>},
    Twin{"duration(self) >= duration('1s') && duration(self) <= duration('15s')",
         LastsBetween<kSecond, 15 * kSecond>},
    Twin{"!has(self.ttl) || !has(self.refresh) || duration(self.refresh) + duration(self.refresh) "
         "+ duration(self.refresh) <= duration(self.ttl)",
         [](const Node& self, const Node&) {
           const auto ttl = ParseDuration(self.TextAt("ttl"));
           const auto refresh = ParseDuration(self.TextAt("refresh"));
           return !ttl || !refresh || 3 * *refresh <= *ttl;
         }},
    Twin{"duration(self) <= duration('1h')", LastsBetween<0, kHour>},
    Twin{"duration(self) <= duration('10m')", LastsBetween<0, 10 * kMinute>},
    Twin{"!has(self.duration) || !has(self.maxDuration) || duration(self.duration) <= "
         "duration(self.maxDuration)",
         [](const Node& self, const Node&) {
           const auto duration = ParseDuration(self.TextAt("duration"));
           const auto most = ParseDuration(self.TextAt("maxDuration"));
           return !duration || !most || *duration <= *most;
         }},
    Twin{"!has(self.breakGlass) || !self.breakGlass || self.type == 'Pin'",
         [](const Node& self, const Node&) {
           return !self.IsTrueAt("breakGlass") || !self.At("type", Kind::kString) ||
                  self.TextAt("type") == "Pin";
         }},
    Twin{"!has(self.outside) || self.windows.size() > 0",
         [](const Node& self, const Node&) {
           const Node* windows = self.At("windows", Kind::kList);
           return self.Find("outside") == nullptr || windows == nullptr || !windows->items.empty();
         }},
    Twin{"self.from != self.to",
         [](const Node& self, const Node&) {
           const std::string from = self.TextAt("from");
           return from.empty() || from != self.TextAt("to");
         }},
    Twin{"(self.action == 'Cap') == has(self.maxRecordsPerSecond)",
         [](const Node& self, const Node&) {
           const std::string action = self.TextAt("action");
           if (action != "Cap" && action != "Pause") return true;
           return (action == "Cap") == (self.Find("maxRecordsPerSecond") != nullptr);
         }},
    Twin{"self.from < self.to",
         [](const Node& self, const Node&) {
           const std::string from = self.TextAt("from"), to = self.TextAt("to");
           return from.empty() || to.empty() || from < to;
         }},
};

}  // namespace

std::span<const Twin> ThrottleTwins() { return kTwins; }

}  // namespace backfill::api
