#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace backfill::rows {

enum class JsonKind { kString, kInteger, kNumber, kTrue, kFalse, kNull, kObject, kArray };

// "a string", "an array", ...
std::string_view ToString(JsonKind kind);

struct JsonMember {
  std::string_view name = {};  // between the quotes, as it stands
  bool name_escaped = false;   // holds backslashes
  JsonKind kind = JsonKind::kNull;
  bool escaped = false;  // a string with backslashes
  // As it stands; of a string without its quotes.
  std::string_view value = {};
};

// Walks over the members of one JSON object and checks all of it against RFC 8259 on the way,
// without building anything. UTF-8 is not looked at. At most 64 levels deep.
class JsonObject {
 public:
  // `text` has no line feed; readable for kPadding bytes more, which begin with LF, CR LF or zero.
  explicit JsonObject(std::string_view text) : JsonObject(text, nullptr, nullptr, nullptr) {}

  // Of a text without backslashes and control characters all of whose quotes are known, as
  // positions from `base` on: where a string ends need not be looked for.
  JsonObject(std::string_view text, const char* base, const std::uint32_t* quotes,
             const std::uint32_t* quotes_end)
      : begin_(text.data()),
        end_(text.data() + text.size()),
        at_(begin_),
        base_(base),
        quotes_(quotes),
        quotes_end_(quotes_end) {}

  // The next member, until the next call; nullptr at the end, or if the text is no JSON object: see
  // fault().
  [[gnu::always_inline]] const JsonMember* Next() {
    return AdvancePlain() || Advance() ? &member_ : nullptr;
  }

  [[nodiscard]] bool failed() const { return fault_ != nullptr; }
  // What is wrong, once Next() was nullptr: "expected ':' at column 7". Nothing if all is well.
  [[nodiscard]] std::optional<std::string> fault() const;

 private:
  bool AdvancePlain();
  bool Advance();
  void SkipSpaces();
  bool String(std::string_view* content, bool* escaped);
  bool Escape();
  bool Number(JsonKind* kind);
  bool Literal(std::string_view word);
  bool Scalar(JsonMember* member);
  bool Nested();
  bool Fail(const char* what);
  bool Finish();

  const char* const begin_;
  const char* const end_;
  const char* at_;
  const char* const base_;
  const std::uint32_t* quotes_;  // the next ones; the first is an opening one
  const std::uint32_t* const quotes_end_;
  JsonMember member_;
  bool first_ = true;
  const char* fault_ = nullptr;
};

// What most members are: quotes are known, at most one blank in each place, and a string or a
// number without sign and exponent. False, and nothing has changed, if it is something else:
// Advance() says what.
[[gnu::always_inline]] inline bool JsonObject::AdvancePlain() {
  const auto quotes_left = quotes_end_ - quotes_;
  if (quotes_left < 2 || at_ == nullptr || fault_ != nullptr || *at_ != (first_ ? '{' : ','))
    return false;
  const char* p = at_ + 1;
  if (*p == ' ') ++p;
  const char* const name_end = base_ + quotes_[1];
  if (p != base_ + quotes_[0] || name_end[1] != ':') return false;
  const std::string_view name(p + 1, static_cast<std::size_t>(name_end - p - 1));
  p = name_end + 2;
  if (*p == ' ') ++p;
  if (*p == '"') {
    if (quotes_left < 4) return false;
    const char* const end = base_ + quotes_[3];
    member_.kind = JsonKind::kString;
    member_.value = {p + 1, static_cast<std::size_t>(end - p - 1)};
    quotes_ += 4;
    at_ = end + 1;
  } else {
    const char* const begin = p;
    if (*p < '1' || *p > '9') return false;
    while (*p >= '0' && *p <= '9') ++p;
    JsonKind kind = JsonKind::kInteger;
    if (*p == '.') {
      kind = JsonKind::kNumber;
      const char* const fraction = ++p;
      while (*p >= '0' && *p <= '9') ++p;
      if (p == fraction) return false;
    }
    if (*p != ',' && *p != '}') return false;
    member_.kind = kind;
    member_.value = {begin, static_cast<std::size_t>(p - begin)};
    quotes_ += 2;
    at_ = p;
  }
  member_.name = name;
  member_.name_escaped = member_.escaped = false;
  first_ = false;
  return true;
}

// A string's text from what stands between its quotes. Nothing if an escape is half of a surrogate
// pair, which is no character.
std::optional<std::string> UnescapeJson(std::string_view content);

}  // namespace backfill::rows
