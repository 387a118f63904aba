#include "rows/ndjson_parser.h"

#include <algorithm>

#include "rows/key_rules.h"
#include "rows/row_faults.h"

namespace backfill::rows {
namespace {

constexpr std::size_t kKeySlot = 0;

std::string_view WithoutBlanks(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r";
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

// No backslash, no control character.
bool IsPlain(std::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](char c) { return c == '\\' || static_cast<unsigned char>(c) < 0x20; });
}

JsonObject ObjectOf(const RowBatch& batch, const Row& row) {
  const std::string_view text = batch.Text(row);
  if (!batch.plain && !IsPlain(text)) return JsonObject(text);
  const std::uint32_t* const quotes = batch.marks + row.first_mark;
  return {text, batch.data, quotes, quotes + row.marks};
}

}  // namespace

NdJsonParser::NdJsonParser(const FileFormat& format) : names_(format.fields) {
  sought_.push_back(format.key);
  sought_.insert(sought_.end(), names_.begin(), names_.end());
  values_.resize(sought_.size());
  found_.resize(sought_.size());
}

KeyOrFault NdJsonParser::Key(const RowBatch& batch, const Row& row) {
  const Fault fault = Read(batch, row, Words::kNotWanted);
  if (fault != Fault::kNone) return {.fault = fault};
  return {.key = values_[kKeySlot]};
}

Record& NdJsonParser::Parse(const RowBatch& batch, const Row& row) {
  unescaped_.clear();
  problem_.clear();
  record_.line = row.line;
  record_.key = {};
  record_.fields = {};
  record_.raw = {};
  record_.fault = Read(batch, row, Words::kWanted);
  record_.problem = problem_;
  if (record_.fault == Fault::kNone) {
    record_.key = values_[kKeySlot];
    record_.fields = std::span<const std::string_view>(values_).subspan(1);
    record_.raw = WithoutBlanks(batch.Text(row));
  }
  return record_;
}

Fault NdJsonParser::Bad(Fault fault, const Row& row, Words words, const std::string& what) {
  const bool first = problem_.empty() || fault == Fault::kJson;
  if (words == Words::kWanted && first) problem_ = AtLine(row) + what;
  return fault;
}

Fault NdJsonParser::Read(const RowBatch& batch, const Row& row, Words words) {
  if (const Fault fault = FaultOf(batch, row); fault != Fault::kNone) {
    if (words == Words::kWanted) problem_ = ProblemOf(fault, row);
    return fault;
  }
  std::fill(found_.begin(), found_.end(), false);
  // Of several faults bad JSON counts, since it says that the others mean little.
  Fault fault = Fault::kNone;
  JsonObject object = ObjectOf(batch, row);
  std::string unescaped;
  while (const JsonMember* const member = object.Next()) {
    std::string_view name = member->name;
    if (member->name_escaped) {
      unescaped = UnescapeJson(name).value_or("");
      name = unescaped;
    }
    for (std::size_t slot = 0; slot < sought_.size(); ++slot) {
      if (name != sought_[slot]) continue;
      const Fault of_member = Take(*member, slot, row, words);
      if (fault == Fault::kNone) fault = of_member;
    }
  }
  if (const std::optional<std::string> problem = object.fault())
    return Bad(Fault::kJson, row, words, "not valid JSON: " + *problem);
  for (std::size_t slot = 0; fault == Fault::kNone && slot < sought_.size(); ++slot) {
    if (!found_[slot]) {
      fault = Bad(slot == kKeySlot ? Fault::kKey : Fault::kField, row, words,
                  "the member " + sought_[slot] + " is missing");
    }
  }
  return fault;
}

Fault NdJsonParser::Take(const JsonMember& member, std::size_t slot, const Row& row, Words words) {
  const bool key = slot == kKeySlot;
  const Fault fault = key ? Fault::kKey : Fault::kField;
  const auto bad = [&](const std::string& what) {
    return Bad(fault, row, words, "the member " + sought_[slot] + " " + what);
  };
  if (found_[slot]) return bad("occurs twice");
  found_[slot] = true;
  values_[slot] = member.value;
  if (member.escaped) {
    std::optional<std::string> text = UnescapeJson(member.value);
    if (!text) return bad("holds half of a surrogate pair");
    values_[slot] = unescaped_.emplace_back(std::move(*text));
  }
  if (!key) return Fault::kNone;
  if (member.kind != JsonKind::kString && member.kind != JsonKind::kInteger) {
    return bad("is " + std::string(ToString(member.kind)) +
               "; a key is a string or a whole number");
  }
  if (!IsKey(values_[slot])) return bad(KeyProblem(values_[slot]).value_or("is no key"));
  return Fault::kNone;
}

}  // namespace backfill::rows
