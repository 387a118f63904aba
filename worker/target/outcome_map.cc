#include "worker/target/outcome_map.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <unordered_map>

#include "worker/target/escape.h"

namespace backfill::worker {
namespace {

using Json = nlohmann::json;

constexpr int kMaxDepth = 16;

// Checked before parsing: the parser takes any depth, and what it makes of it is destroyed
// recursively.
bool IsDeep(std::string_view json) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxDepth) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

FailureClass ClassOf(const std::string& name) {
  if (name == "transient") return FailureClass::kTransient;
  if (name == "timeout") return FailureClass::kTimeout;
  if (name == "conflict") return FailureClass::kConflict;
  return FailureClass::kPermanent;
}

std::string Text(const Json& object, const char* name) {
  const auto it = object.find(name);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

Verdict VerdictOf(const Json& object) {
  const std::string outcome = Text(object, "outcome");
  if (outcome == "updated") return {Outcome::kUpdated, {}, {}};
  if (outcome == "unchanged") return {Outcome::kUnchanged, {}, {}};
  if (outcome == "skipped") return {Outcome::kSkipped, {}, {}};
  if (outcome == "failed") {
    return {Outcome::kFailed, ClassOf(Text(object, "class")),
            CutToUtf8(Text(object, "message"), 256)};
  }
  return {Outcome::kFailed, FailureClass::kTransient, "the reply names an unknown outcome"};
}

std::optional<std::string> KeyOf(const Json& object) {
  const auto it = object.find("key");
  if (it == object.end()) return std::nullopt;
  if (it->is_string()) return it->get<std::string>();
  if (it->is_number_integer()) return it->dump();
  return std::nullopt;
}

}  // namespace

OutcomeMap::OutcomeMap(const Overrides& overrides) {
  for (unsigned s = 200; s < 300; ++s) meanings_[s] = {Outcome::kUpdated, {}};
  meanings_[304] = {Outcome::kUnchanged, {}};
  for (const unsigned s : {408U, 425U, 429U}) meanings_[s].failure = FailureClass::kTransient;
  for (unsigned s = 500; s < 600; ++s) meanings_[s].failure = FailureClass::kTransient;
  for (const unsigned s : {409U, 412U}) meanings_[s].failure = FailureClass::kConflict;

  const auto set = [&](const std::vector<std::uint32_t>& codes, Meaning meaning) {
    for (const std::uint32_t code : codes) {
      if (code < meanings_.size()) meanings_[code] = meaning;
    }
  };
  set(overrides.updated, {Outcome::kUpdated, {}});
  set(overrides.unchanged, {Outcome::kUnchanged, {}});
  set(overrides.skipped, {Outcome::kSkipped, {}});
  set(overrides.transient, {Outcome::kFailed, FailureClass::kTransient});
  set(overrides.conflict, {Outcome::kFailed, FailureClass::kConflict});
  set(overrides.permanent, {Outcome::kFailed, FailureClass::kPermanent});
}

Verdict OutcomeMap::Of(unsigned status) const {
  const Meaning m = status < meanings_.size() ? meanings_[status] : Meaning{};
  if (m.outcome != Outcome::kFailed) return {m.outcome, {}, {}};
  return {m.outcome, m.failure, "HTTP " + std::to_string(status)};
}

ReplyOutcomes ParseOutcomes(std::string_view body, const std::vector<Record>& records) {
  using Kind = ReplyOutcomes::Kind;
  const std::size_t first = body.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || body[first] != '{' ||
      body.find("\"outcomes\"") == std::string_view::npos) {
    return {};  // most replies: no need to parse
  }
  // From here on silence would count a record as done that the target may have refused.
  if (IsDeep(body)) return {.kind = Kind::kUnreadable};
  const Json reply = Json::parse(body.begin(), body.end(), nullptr, /*allow_exceptions=*/false);
  if (!reply.is_object()) return {.kind = Kind::kUnreadable};
  const auto list = reply.find("outcomes");
  if (list == reply.end()) return {};  // further down, so something else
  if (!list->is_array()) return {.kind = Kind::kUnreadable};

  ReplyOutcomes result{.kind = Kind::kVerdicts};
  std::unordered_multimap<std::string_view, std::uint32_t> index;
  for (std::uint32_t i = 0; i < records.size(); ++i) index.emplace(records[i].key, i);
  for (const Json& entry : *list) {
    if (!entry.is_object()) continue;
    const auto key = KeyOf(entry);
    if (!key) continue;
    const auto [begin, end] = index.equal_range(*key);
    for (auto it = begin; it != end; ++it)
      result.verdicts.emplace_back(it->second, VerdictOf(entry));
    if (result.verdicts.size() > 2 * records.size())
      break;  // it repeats itself: no reason to follow it for ever
  }
  return result;
}

}  // namespace backfill::worker
