#include "operator/api/cel_twins.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstdlib>

#include "operator/api/cel_twin.h"
#include "operator/api/codec.h"

namespace backfill::api {
namespace {

using Kind = Node::Kind;
using namespace std::chrono_literals;

#define PLANNED "(has(oldSelf.status) && has(oldSelf.status.plan))"
#define ENDED                                                  \
  "(has(oldSelf.status) && has(oldSelf.status.conditions) && " \
  "oldSelf.status.conditions.exists(c, c.type == 'Succeeded' && c.status != 'Unknown'))"

bool Has(const Node& node, std::string_view path) { return node.At(path) != nullptr; }

bool IsFalse(const Node& node, std::string_view path) {
  const Node* flag = node.At(path, Kind::kBool);
  return flag != nullptr && !flag->boolean;
}

bool Planned(const Node& before) { return Has(before, "status.plan"); }

bool Ended(const Node& before) {
  const Node* conditions = before.At("status.conditions", Kind::kList);
  return conditions != nullptr && std::ranges::any_of(conditions->items, [](const Node& condition) {
           return condition.TextAt("type") == "Succeeded" &&
                  condition.TextAt("status") != "Unknown";
         });
}

bool Same(const Node& self, const Node& before, std::string_view path) {
  const Node* now = self.At(path);
  const Node* then = before.At(path);
  if (now == nullptr || then == nullptr) return now == then;
  return SameValue(*now, *then);
}

bool IsName(const Node& self, const Node& /*before*/) {
  const Node* name = self.At("metadata.name", Kind::kString);
  if (name == nullptr || name->text.empty()) return true;
  const std::string& text = name->text;
  return text.size() <= 45 && text.front() != '-' && text.back() != '-' &&
         std::ranges::all_of(text, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
         });
}

bool StartsBeforeEnd(const Node& self, const Node& /*before*/) {
  const Node* start = self.At("start", Kind::kInteger);
  const Node* end = self.At("end", Kind::kInteger);
  return start == nullptr || end == nullptr || start->integer <= end->integer;
}

bool IsPercentage(const Node& self, const Node& /*before*/) {
  double percent = 0;
  const char* end = self.text.data() + self.text.size();
  const auto parsed = std::from_chars(self.text.data(), end, percent);
  return parsed.ec != std::errc{} || parsed.ptr != end || percent <= 100;
}

bool IsTimeout(const Node& self, const Node& /*before*/) {
  const auto duration = ParseDuration(self.text);
  return !duration || (*duration >= 1ms && *duration <= 10min);
}

bool IsHarmless(const Node& self, const Node& /*before*/) {
  if (!Has(self, "method")) return true;
  const std::string method = self.TextAt("method");
  return method == "GET" || method == "HEAD" || self.TextAt("sideEffects") == "None";
}

constexpr std::array kWorkTwins = {
    Twin{"self.metadata.name.size() <= 45 && "
         "self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
         IsName},
    Twin{"self.spec.dryRun || self.spec.performDisruptiveBackfill == self.metadata.name",
         [](const Node& self, const Node&) {
           return !IsFalse(self, "spec.dryRun") ||
                  self.TextAt("spec.performDisruptiveBackfill") == self.TextAt("metadata.name");
         },
         [](const Node& self) {
           return "dryRun is false, so spec.performDisruptiveBackfill must repeat the name, \"" +
                  self.TextAt("metadata.name") + "\"";
         }},
    Twin{"self.spec.dryRun || has(self.spec.throttle.maxRecordsPerSecond)",
         [](const Node& self, const Node&) {
           return !IsFalse(self, "spec.dryRun") || !self.At("spec.throttle", Kind::kMap) ||
                  Has(self, "spec.throttle.maxRecordsPerSecond");
         }},
    Twin{"!self.spec.dryRun || !has(self.spec.target.http.dryRun) || "
         "has(self.spec.throttle.maxRecordsPerSecond)",
         [](const Node& self, const Node&) {
           return IsFalse(self, "spec.dryRun") || !self.At("spec.throttle", Kind::kMap) ||
                  !Has(self, "spec.target.http.dryRun") ||
                  Has(self, "spec.throttle.maxRecordsPerSecond");
         }},
    Twin{"!" PLANNED " || self.spec.source == oldSelf.spec.source",
         [](const Node& self, const Node& before) {
           return !Planned(before) || Same(self, before, "spec.source");
         }},
    Twin{"!" PLANNED " || self.spec.target == oldSelf.spec.target",
         [](const Node& self, const Node& before) {
           return !Planned(before) || Same(self, before, "spec.target");
         }},
    Twin{"!" PLANNED " || (has(self.spec.sharding) == has(oldSelf.spec.sharding) && "
         "(!has(self.spec.sharding) || "
         "self.spec.sharding == oldSelf.spec.sharding))",
         [](const Node& self, const Node& before) {
           return !Planned(before) || Same(self, before, "spec.sharding");
         }},
    Twin{"!" PLANNED " || (has(self.spec.throttle.partitionBy) == "
         "has(oldSelf.spec.throttle.partitionBy) && (!has(self.spec.throttle.partitionBy) || "
         "self.spec.throttle.partitionBy == oldSelf.spec.throttle.partitionBy))",
         [](const Node& self, const Node& before) {
           return !Planned(before) || Same(self, before, "spec.throttle.partitionBy");
         }},
    Twin{"!" PLANNED " || oldSelf.spec.dryRun || !self.spec.dryRun",
         [](const Node& self, const Node& before) {
           return !Planned(before) || before.IsTrueAt("spec.dryRun") ||
                  !self.IsTrueAt("spec.dryRun");
         }},
    Twin{"!" ENDED " || self.spec == oldSelf.spec",
         [](const Node& self, const Node& before) {
           return !Ended(before) || Same(self, before, "spec");
         }},
    Twin{"[has(self.range), has(self.keys), has(self.failuresOf), "
         "has(self.file)].exists_one(given, given)",
         [](const Node& self, const Node&) {
           if (!self.Is(Kind::kMap) || self.has_unknown_fields) return true;
           const std::array given = {Has(self, "range"), Has(self, "keys"), Has(self, "failuresOf"),
                                     Has(self, "file")};
           return std::ranges::count(given, true) == 1;
         }},
    Twin{"has(self.key) != (self.format == 'Lines')",
         [](const Node& self, const Node&) {
           return !self.At("format", Kind::kString) ||
                  Has(self, "key") != (self.TextAt("format") == "Lines");
         }},
    Twin{"!has(self.delimiter) || self.format == 'Csv'",
         [](const Node& self, const Node&) {
           return !Has(self, "delimiter") || !self.At("format", Kind::kString) ||
                  self.TextAt("format") == "Csv";
         }},
    Twin{"!has(self.tls) || self.path.startsWith('https://')",
         [](const Node& self, const Node&) {
           return !Has(self, "tls") || !self.At("path", Kind::kString) ||
                  self.TextAt("path").starts_with("https://");
         }},
    Twin{"!has(self.secretHeaders) || self.path.startsWith('https://') || "
         "self.path.startsWith('http://')",
         [](const Node& self, const Node&) {
           return !Has(self, "secretHeaders") || !self.At("path", Kind::kString) ||
                  self.TextAt("path").starts_with("https://") ||
                  self.TextAt("path").starts_with("http://");
         }},
    Twin{"self.start <= self.end", StartsBeforeEnd},
    Twin{"bytes(self).size() <= 128",
         [](const Node& self, const Node&) { return self.text.size() <= 128; }},
    Twin{"duration(self) >= duration('1ms') && duration(self) <= duration('10m')", IsTimeout},
    Twin{"self.method == 'GET' || self.method == 'HEAD' || self.sideEffects == 'None'", IsHarmless},
    Twin{"double(self) <= 100.0", IsPercentage},
    Twin{"has(self.file) != has(self.env)",
         [](const Node& self, const Node&) {
           return !self.Is(Kind::kMap) || self.has_unknown_fields ||
                  Has(self, "file") != Has(self, "env");
         }},
    Twin{"!self.matches('[\\x00-\\x1f\\x7f]')",
         [](const Node& self, const Node&) {
           return std::ranges::none_of(self.text,
                                       [](unsigned char c) { return std::iscntrl(c) != 0; });
         }},
    Twin{"!self.startsWith('BACKFILL_')",
         [](const Node& self, const Node&) { return !self.text.starts_with("BACKFILL_"); }},
    Twin{"has(self.certFile) == has(self.keyFile)",
         [](const Node& self, const Node&) {
           return !self.Is(Kind::kMap) || Has(self, "certFile") == Has(self, "keyFile");
         }},
};

const Twin& TwinOf(const CelRule& rule) {
  for (const std::span<const Twin> twins : {std::span<const Twin>(kWorkTwins), ThrottleTwins()}) {
    const auto twin = std::ranges::find(twins, rule.rule, &Twin::rule);
    if (twin != twins.end()) return *twin;
  }
  std::abort();  // a test compares TwinRules() with the CRD
}

bool IsTransition(const CelRule& rule) { return rule.rule.find("oldSelf") != std::string::npos; }

void Report(const CelRule& rule, const Twin& twin, const Node& self, std::string path,
            Problems& problems) {
  const Node* at = &self;
  std::string_view rest = rule.field_path;
  while (!rest.empty()) {
    rest.remove_prefix(1);  // the dot
    const std::string_view name = rest.substr(0, rest.find('.'));
    path = Join(path, name);
    rest.remove_prefix(name.size());
    if (const Node* below = at->Find(name)) at = below;  // else the nearest map that is there
  }
  problems.Add(*at, std::move(path), twin.message != nullptr ? twin.message(self) : rule.message);
}

void Check(const Schema& schema, const Node& node, const std::string& path, Problems& problems) {
  for (const CelRule& rule : schema.rules) {
    if (IsTransition(rule)) continue;
    const Twin& twin = TwinOf(rule);
    if (!twin.holds(node, node)) Report(rule, twin, node, path, problems);
  }
  for (const Member& member : node.members) {
    const Schema* property = schema.Property(member.key);
    if (property == nullptr) property = schema.additional.get();
    if (property != nullptr) Check(*property, member.value, Join(path, member.key), problems);
  }
  for (std::size_t i = 0; schema.items != nullptr && i < node.items.size(); ++i) {
    Check(*schema.items, node.items[i], JoinIndex(path, i), problems);
  }
}

}  // namespace

void CheckRules(const Schema& schema, const Node& node, Problems& problems) {
  Check(schema, node, "", problems);
}

void CheckTransition(const Schema& schema, const Node& node, const Node& before,
                     Problems& problems) {
  for (const CelRule& rule : schema.rules) {
    if (!IsTransition(rule)) continue;
    const Twin& twin = TwinOf(rule);
    if (!twin.holds(node, before)) Report(rule, twin, node, "", problems);
  }
}

std::vector<std::string_view> TwinRules() {
  std::vector<std::string_view> rules;
  for (const Twin& twin : kWorkTwins) rules.push_back(twin.rule);
  for (const Twin& twin : ThrottleTwins()) rules.push_back(twin.rule);
  return rules;
}

}  // namespace backfill::api
