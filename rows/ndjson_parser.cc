#include "rows/ndjson_parser.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <string>

#include "rows/key_rules.h"
#include "rows/row_faults.h"
#include "rows/unaligned.h"

namespace backfill::rows {
namespace {

constexpr std::size_t kKeySlot = 0;
constexpr std::size_t kMaxUsual = 64;  // members whose names are kept

std::string_view WithoutBlanks(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r";
  if (text.front() == '{' && text.back() == '}') return text;
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

// As ==, without a call for names, which are short.
bool IsSame(std::string_view a, std::string_view b) {
  const std::size_t size = a.size();
  if (size != b.size()) return false;
  const auto differ = [&]<typename Word>(std::size_t at, Word /*of what size*/) {
    return LoadUnaligned<Word>(a.data() + at) != LoadUnaligned<Word>(b.data() + at);
  };
  if (size > 16) return a == b;
  if (size >= 8) return !differ(0, std::uint64_t{}) && !differ(size - 8, std::uint64_t{});
  if (size >= 4) return !differ(0, std::uint32_t{}) && !differ(size - 4, std::uint32_t{});
  if (size >= 2) return !differ(0, std::uint16_t{}) && !differ(size - 2, std::uint16_t{});
  return size == 0 || a.front() == b.front();
}

bool SameButForCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return std::tolower(x) == std::tolower(y);
  });
}

// A member that may have been meant: "; there is ID". Empty: there is none.
std::string LikeMissing(JsonObject object, std::string_view name) {
  while (const JsonMember* const member = object.Next()) {
    if (SameButForCase(member->name, name)) return "; there is " + std::string(member->name);
  }
  return "";
}

JsonObject ObjectOf(const RowBatch& batch, const Row& row) {
  const std::string_view text = batch.Text(row);
  if (!batch.plain) return JsonObject(text);
  const std::uint32_t* const quotes = batch.marks + row.first_mark;
  return {text, batch.data, quotes, quotes + row.marks};
}

}  // namespace

NdJsonParser::NdJsonParser(const FileFormat& format) : names_(format.fields) {
  sought_.push_back(format.key);
  sought_.insert(sought_.end(), names_.begin(), names_.end());
  values_.resize(sought_.size());
  found_in_.resize(sought_.size());
}

std::span<const KeyOrFault> NdJsonParser::Keys(const RowBatch& batch) {
  if (!unescaped_.empty()) unescaped_.clear();
  keys_.clear();
  for (const Row& row : batch.rows) {
    const Fault fault = Read(batch, row, Words::kNotWanted);
    keys_.push_back(
        {.key = fault == Fault::kNone ? values_[kKeySlot] : std::string_view(), .fault = fault});
  }
  return keys_;
}

Record& NdJsonParser::Parse(const RowBatch& batch, const Row& row) {
  if (!unescaped_.empty()) unescaped_.clear();
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

// Most rows have the same members in the same order, so a name is compared with one other.
[[gnu::always_inline]] inline const std::vector<std::size_t>& NdJsonParser::SlotsOf(
    const JsonMember& member, std::size_t ordinal) {
  if (ordinal < usual_.size() && usual_[ordinal].known && IsSame(usual_[ordinal].name, member.name))
    return usual_[ordinal].slots;
  return LearnSlots(member, ordinal);
}

const std::vector<std::size_t>& NdJsonParser::LearnSlots(const JsonMember& member,
                                                         std::size_t ordinal) {
  if (ordinal == usual_.size() && ordinal < kMaxUsual) usual_.emplace_back();
  Usual& usual = ordinal < usual_.size() ? usual_[ordinal] : other_;
  usual.known = !member.name_escaped && member.name.size() <= kMaxKeyBytes;
  if (usual.known) usual.name = member.name;
  std::string unescaped;
  if (member.name_escaped) unescaped = UnescapeJson(member.name).value_or("");
  const std::string_view name = member.name_escaped ? unescaped : member.name;
  usual.slots.clear();
  for (std::size_t slot = 0; slot < sought_.size(); ++slot) {
    if (name == sought_[slot]) usual.slots.push_back(slot);
  }
  return usual.slots;
}

[[gnu::always_inline]] inline Fault NdJsonParser::Take(const JsonMember& member, std::size_t slot,
                                                       const Row& row, Words words) {
  if (found_in_[slot] == rows_) return BadMember(slot, row, words, "occurs twice");
  found_in_[slot] = rows_;
  values_[slot] = {member.value.data(), member.value.size()};
  if (member.escaped) {
    std::optional<std::string> text = UnescapeJson(member.value);
    if (!text) return BadMember(slot, row, words, "holds half of a surrogate pair");
    values_[slot] = unescaped_.emplace_back(std::move(*text));
  }
  if (slot != kKeySlot || (member.kind == JsonKind::kInteger && IsPlainKey(member.value)))
    return Fault::kNone;
  return CheckKey(member.kind, row, words);
}

Fault NdJsonParser::Read(const RowBatch& batch, const Row& row, Words words) {
  if (const Fault fault = FaultOf(batch, row); fault != Fault::kNone) {
    if (words == Words::kWanted) problem_ = ProblemOf(fault, row);
    return fault;
  }
  ++rows_;
  // Of several faults bad JSON counts, since it says that the others mean little.
  Fault fault = Fault::kNone;
  JsonObject object = ObjectOf(batch, row);
  for (std::size_t ordinal = 0;; ++ordinal) {
    const JsonMember* const member = object.Next();
    if (member == nullptr) break;
    for (const std::size_t slot : SlotsOf(*member, ordinal)) {
      const Fault of_member = Take(*member, slot, row, words);
      if (fault == Fault::kNone) fault = of_member;
    }
  }
  if (object.failed())
    return Bad(Fault::kJson, row, words, "not valid JSON: " + object.fault().value_or(""));
  for (std::size_t slot = 0; fault == Fault::kNone && slot < sought_.size(); ++slot) {
    if (found_in_[slot] != rows_) {
      fault = Bad(
          slot == kKeySlot ? Fault::kKey : Fault::kField, row, words,
          "the member " + sought_[slot] + " is missing" +
              (words == Words::kWanted ? LikeMissing(ObjectOf(batch, row), sought_[slot]) : ""));
    }
  }
  return fault;
}

Fault NdJsonParser::CheckKey(JsonKind kind, const Row& row, Words words) {
  const std::string_view key = values_[kKeySlot];
  if (kind != JsonKind::kString && kind != JsonKind::kInteger) {
    return BadMember(kKeySlot, row, words,
                     "is " + std::string(ToString(kind)) + "; a key is a string or a whole number");
  }
  if (IsKey(key)) return Fault::kNone;
  return BadMember(kKeySlot, row, words, KeyProblem(key).value_or("is no key"));
}

Fault NdJsonParser::BadMember(std::size_t slot, const Row& row, Words words,
                              const std::string& what) {
  return Bad(slot == kKeySlot ? Fault::kKey : Fault::kField, row, words,
             "the member " + sought_[slot] + " " + what);
}

}  // namespace backfill::rows
