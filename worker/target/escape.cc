#include "worker/target/escape.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>

namespace backfill::worker {
namespace {

constexpr char kHex[] = "0123456789ABCDEF";

constexpr bool IsUnreserved(unsigned char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

constexpr bool IsPlainInJson(unsigned char c) { return c >= 0x20 && c != '"' && c != '\\'; }

// Which bytes go out as they are.
using Table = std::array<bool, 256>;
template <typename Fn>
constexpr Table TableOf(Fn plain) {
  Table table{};
  for (std::size_t c = 0; c < table.size(); ++c) table[c] = plain(static_cast<unsigned char>(c));
  return table;
}
constexpr Table kUnreserved = TableOf(IsUnreserved);
constexpr Table kPlainInJson = TableOf(IsPlainInJson);

// Appends what may stand as it is in one go, mostly all of it; the rest byte by byte.
template <typename Fn>
void AppendEscaped(std::string& out, std::string_view value, const Table& plain, Fn escape) {
  for (;;) {
    std::size_t n = 0;
    while (n < value.size() && plain[static_cast<unsigned char>(value[n])]) ++n;
    out.append(value.data(), n);
    if (n == value.size()) return;
    escape(value[n]);
    value.remove_prefix(n + 1);
  }
}

// Length of the valid UTF-8 sequence at the front of `s`; 0: none.
std::size_t SequenceLength(std::string_view s) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(s[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t n = lead >= 0xC2 && lead <= 0xDF   ? 2
                        : lead >= 0xE0 && lead <= 0xEF ? 3
                        : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                       : 0;
  if (n == 0 || s.size() < n) return 0;
  for (std::size_t i = 1; i < n; ++i) {
    if ((byte(i) & 0xC0U) != 0x80U) return 0;
  }
  if (lead == 0xE0 && byte(1) < 0xA0) return 0;  // overlong
  if (lead == 0xED && byte(1) > 0x9F) return 0;  // surrogates
  if (lead == 0xF0 && byte(1) < 0x90) return 0;
  if (lead == 0xF4 && byte(1) > 0x8F) return 0;
  return n;
}

}  // namespace

void AppendPercentEncoded(std::string& out, std::string_view value) {
  AppendEscaped(out, value, kUnreserved, [&](char c) {
    const auto u = static_cast<unsigned char>(c);
    out += '%', out += kHex[u >> 4], out += kHex[u & 15];
  });
}

void AppendJsonEscaped(std::string& out, std::string_view value) {
  AppendEscaped(out, value, kPlainInJson, [&](char c) {
    const auto u = static_cast<unsigned char>(c);
    if (u < 0x20) {
      out += "\\u00", out += kHex[u >> 4], out += kHex[u & 15];
    } else {
      out += '\\', out += c;
    }
  });
}

void AppendJsonString(std::string& out, std::string_view value) {
  out += '"';
  AppendJsonEscaped(out, value);
  out += '"';
}

bool IsHeaderSafe(std::string_view value) {
  return value.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos;
}

bool IsHttpToken(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

std::string CutToUtf8(std::string_view text, std::size_t max_bytes) {
  std::string out;
  while (!text.empty()) {
    const std::size_t n = SequenceLength(text);
    const std::size_t take = std::max<std::size_t>(n, 1);
    if (out.size() + take > max_bytes) break;
    if (n == 0) {
      out += '?';
    } else {
      out += text.substr(0, n);
    }
    text.remove_prefix(take);
  }
  return out;
}

}  // namespace backfill::worker
