#include "rows/json_object.h"

#include <algorithm>
#include <bit>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace backfill::rows {
namespace {

constexpr int kMaxDepth = 64;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// The first quote, backslash or control character from p on. There is always one: see the header.
const char* EndOfPlain(const char* p) {
#if defined(__SSE2__)
  const __m128i quote = _mm_set1_epi8('"');
  const __m128i backslash = _mm_set1_epi8('\\');
  const __m128i last_control = _mm_set1_epi8(0x1F);
  for (;; p += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, last_control), bytes);
    const __m128i stop = _mm_or_si128(
        control, _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)));
    const auto mask = static_cast<std::uint32_t>(_mm_movemask_epi8(stop));
    if (mask != 0) return p + std::countr_zero(mask);
  }
#else
  while (static_cast<unsigned char>(*p) > 0x1F && *p != '"' && *p != '\\') ++p;
  return p;
#endif
}

std::optional<std::uint32_t> Hex4(const char* p) {
  std::uint32_t value = 0;
  for (int i = 0; i < 4; ++i) {
    const char c = p[i];
    std::uint32_t digit = 0;
    if (IsDigit(c)) {
      digit = static_cast<std::uint32_t>(c - '0');
    } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
      digit = static_cast<std::uint32_t>((c | 0x20) - 'a' + 10);
    } else {
      return std::nullopt;
    }
    value = value * 16 + digit;
  }
  return value;
}

void AppendUtf8(std::string& out, std::uint32_t c) {
  const auto tail = [&](int shift) { out += static_cast<char>(0x80 | ((c >> shift) & 0x3F)); };
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | (c >> 6));
    tail(0);
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | (c >> 12));
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xF0 | (c >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

}  // namespace

std::string_view ToString(JsonKind kind) {
  switch (kind) {
    case JsonKind::kString:
      return "a string";
    case JsonKind::kInteger:
      return "a whole number";
    case JsonKind::kNumber:
      return "a number with a fraction or an exponent";
    case JsonKind::kTrue:
      return "true";
    case JsonKind::kFalse:
      return "false";
    case JsonKind::kNull:
      return "null";
    case JsonKind::kObject:
      return "an object";
    case JsonKind::kArray:
      return "an array";
  }
  return "unknown";
}

bool JsonObject::Advance() {
  if (fault_ != nullptr || at_ == nullptr) return false;
  SkipSpaces();
  if (first_) {
    if (*at_ != '{') return Fail("expected '{', an object a line,");
    ++at_;
    SkipSpaces();
    first_ = false;
    if (*at_ == '}') return Finish();
  } else {
    if (*at_ == '}') return Finish();
    if (*at_ != ',') return Fail("expected ',' or '}'");
    ++at_;
    SkipSpaces();
  }
  if (*at_ != '"') return Fail("expected a name in quotes");
  member_.name_escaped = false;
  if (!String(&member_.name, &member_.name_escaped)) return false;
  SkipSpaces();
  if (*at_ != ':') return Fail("expected ':'");
  ++at_;
  SkipSpaces();
  const char* const begin = at_;
  member_.escaped = false;
  if (*at_ == '{' || *at_ == '[') {
    member_.kind = *at_ == '{' ? JsonKind::kObject : JsonKind::kArray;
    if (!Nested()) return false;
  } else if (!Scalar(&member_)) {
    return false;
  }
  if (member_.kind != JsonKind::kString)
    member_.value = {begin, static_cast<std::size_t>(at_ - begin)};
  return true;
}

std::optional<std::string> JsonObject::fault() const {
  if (fault_ == nullptr) return std::nullopt;
  const auto characters = std::count_if(begin_, std::min(at_, end_), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;  // begins one
  });
  return std::string(fault_) + " at column " + std::to_string(characters + 1);
}

// Mostly there are none, which one comparison shows.
inline void JsonObject::SkipSpaces() {
  while (static_cast<unsigned char>(*at_) <= ' ' && (*at_ == ' ' || *at_ == '\t' || *at_ == '\r'))
    ++at_;
}

// Behind the object only blanks may follow.
bool JsonObject::Finish() {
  ++at_;
  SkipSpaces();
  if (at_ < end_) {
    return Fail("expected nothing behind the object");
  }
  at_ = nullptr;
  return false;
}

bool JsonObject::Fail(const char* what) {
  fault_ = at_ < end_ ? what : "the object does not end on its line";
  return false;
}

inline bool JsonObject::String(std::string_view* content, bool* escaped) {
  // Said the same, and of the same place, on both ways: which one it is depends on other rows.
  static constexpr char kOpen[] = "a string that does not end";
  const char* const begin = ++at_;
  if (quotes_ != nullptr) {
    if (quotes_end_ - quotes_ < 2) return Fail(kOpen);
    at_ = base_ + quotes_[1];
    quotes_ += 2;
    *content = {begin, static_cast<std::size_t>(at_ - begin)};
    ++at_;
    return true;
  }
  for (;;) {
    at_ = EndOfPlain(at_);
    if (at_ >= end_) {
      at_ = begin;
      return Fail(kOpen);
    }
    if (*at_ == '"') break;
    if (*at_ != '\\') return Fail("a control character in a string");
    if (!Escape()) return false;
    *escaped = true;
  }
  *content = {begin, static_cast<std::size_t>(at_ - begin)};
  ++at_;
  return true;
}

bool JsonObject::Escape() {
  switch (at_[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
      at_ += 2;
      return true;
    case 'u':
      if (!Hex4(at_ + 2)) return Fail("expected four hex digits behind \\u");
      at_ += 6;
      return true;
    default:
      return Fail("an unknown escape");
  }
}

inline bool JsonObject::Number(JsonKind* kind) {
  *kind = JsonKind::kInteger;
  if (*at_ == '-') ++at_;
  if (!IsDigit(*at_)) return Fail("expected a value");
  if (*at_ == '0') {
    ++at_;
    if (IsDigit(*at_)) return Fail("a number with a leading zero");
  } else {
    while (IsDigit(*at_)) ++at_;
  }
  if (*at_ == '.') {
    *kind = JsonKind::kNumber;
    ++at_;
    if (!IsDigit(*at_)) return Fail("expected a digit");
    while (IsDigit(*at_)) ++at_;
  }
  if (*at_ == 'e' || *at_ == 'E') {
    *kind = JsonKind::kNumber;
    ++at_;
    if (*at_ == '+' || *at_ == '-') ++at_;
    if (!IsDigit(*at_)) return Fail("expected a digit");
    while (IsDigit(*at_)) ++at_;
  }
  return true;
}

bool JsonObject::Literal(std::string_view word) {
  if (std::memcmp(at_, word.data(), word.size()) != 0) return Fail("expected a value");
  at_ += word.size();
  return true;
}

inline bool JsonObject::Scalar(JsonMember* member) {
  switch (*at_) {
    case '"':
      member->kind = JsonKind::kString;
      return String(&member->value, &member->escaped);
    case 't':
      member->kind = JsonKind::kTrue;
      return Literal("true");
    case 'f':
      member->kind = JsonKind::kFalse;
      return Literal("false");
    case 'n':
      member->kind = JsonKind::kNull;
      return Literal("null");
    default:
      return Number(&member->kind);
  }
}

// An object or array inside the outer one, without recursion: a bit per level says which it is.
bool JsonObject::Nested() {
  std::uint64_t objects = 0;
  int depth = 1;  // the outer object
  bool value_next = true;
  std::string_view ignored;
  bool escaped = false;
  JsonMember scalar;
  do {
    SkipSpaces();
    if (value_next) {
      if (*at_ == '{' || *at_ == '[') {
        if (++depth > kMaxDepth) return Fail("more than 64 levels deep");
        const bool object = *at_ == '{';
        objects = (objects << 1) | static_cast<std::uint64_t>(object);
        ++at_;
        SkipSpaces();
        if (*at_ == (object ? '}' : ']')) {
          ++at_;
          objects >>= 1;
          --depth;
          value_next = false;
          continue;
        }
      } else {
        if (!Scalar(&scalar)) return false;
        value_next = false;
        continue;
      }
    } else {
      const bool object = (objects & 1) != 0;
      if (*at_ == (object ? '}' : ']')) {
        ++at_;
        objects >>= 1;
        --depth;
        continue;
      }
      if (*at_ != ',') return Fail(object ? "expected ',' or '}'" : "expected ',' or ']'");
      ++at_;
      SkipSpaces();
      value_next = true;
    }
    if ((objects & 1) != 0) {  // a member's name
      if (*at_ != '"') return Fail("expected a name in quotes");
      if (!String(&ignored, &escaped)) return false;
      SkipSpaces();
      if (*at_ != ':') return Fail("expected ':'");
      ++at_;
    }
  } while (depth > 1);
  return true;
}

std::optional<std::string> UnescapeJson(std::string_view content) {
  std::string text;
  text.reserve(content.size());
  for (std::size_t i = 0; i < content.size(); ++i) {
    if (content[i] != '\\') {
      text += content[i];
      continue;
    }
    switch (content[++i]) {
      case 'b':
        text += '\b';
        break;
      case 'f':
        text += '\f';
        break;
      case 'n':
        text += '\n';
        break;
      case 'r':
        text += '\r';
        break;
      case 't':
        text += '\t';
        break;
      case 'u': {
        std::uint32_t c = *Hex4(&content[i + 1]);
        i += 4;
        if (c >= 0xDC00 && c <= 0xDFFF) return std::nullopt;
        if (c >= 0xD800 && c <= 0xDBFF) {
          if (content.size() - i < 7 || content[i + 1] != '\\' || content[i + 2] != 'u')
            return std::nullopt;
          const std::uint32_t low = *Hex4(&content[i + 3]);
          if (low < 0xDC00 || low > 0xDFFF) return std::nullopt;
          c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
          i += 6;
        }
        AppendUtf8(text, c);
        break;
      }
      default:  // a quote, a backslash or a slash
        text += content[i];
    }
  }
  return text;
}

}  // namespace backfill::rows
