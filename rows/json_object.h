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
  const JsonMember* Next() { return Advance() ? &member_ : nullptr; }

  // What is wrong, once Next() was nullptr: "expected ':' at column 7". Nothing if all is well.
  [[nodiscard]] std::optional<std::string> fault() const;

 private:
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

// A string's text from what stands between its quotes. Nothing if an escape is half of a surrogate
// pair, which is no character.
std::optional<std::string> UnescapeJson(std::string_view content);

}  // namespace backfill::rows
