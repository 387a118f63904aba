#include "operator/api/excerpt.h"

#include "base/utf8.h"

namespace backfill::api {

std::string Printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Character next = FirstCharacter(text);
    if (next.code == kNoCharacter) {
      out += '?';
    } else if (next.code < 0x20U || (next.code >= 0x7FU && next.code < 0xA0U)) {
      out += ' ';
    } else {
      out += text.substr(0, next.bytes);
    }
    text.remove_prefix(next.bytes);
  }
  return out;
}

std::string Excerpt(std::string_view text) {
  const std::string_view shown = CutToBytes(text, kMaxExcerptBytes);
  std::string out = "\"";
  for (const char c : shown) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20U || byte == 0x7FU) {
      static constexpr char kHex[] = "0123456789abcdef";
      out += "\\x";
      out += kHex[byte >> 4U];
      out += kHex[byte & 15U];
    } else {
      out += c;
    }
  }
  return out + (shown.size() < text.size() ? "...\"" : "\"");
}

}  // namespace backfill::api
