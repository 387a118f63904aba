#include "cli/terminal_text.h"

#include <fmt/format.h>

#include <cstdint>

namespace backfill::cli {
namespace {

struct CodePoint {
  std::uint32_t value = 0;
  std::size_t bytes = 1;
  bool valid = false;
};

// The code point at the start of `text`, which is not empty. Overlong forms, surrogates and what
// lies beyond Unicode are not valid; then one byte is taken.
CodePoint Next(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return static_cast<std::uint32_t>(static_cast<unsigned char>(text[i]));
  };
  const std::uint32_t first = byte(0);
  if (first < 0x80) return {first, 1, true};
  std::size_t bytes = 0;
  std::uint32_t value = 0, smallest = 0;
  if ((first & 0xE0U) == 0xC0U) {
    bytes = 2, value = first & 0x1FU, smallest = 0x80;
  } else if ((first & 0xF0U) == 0xE0U) {
    bytes = 3, value = first & 0x0FU, smallest = 0x800;
  } else if ((first & 0xF8U) == 0xF0U) {
    bytes = 4, value = first & 0x07U, smallest = 0x10000;
  } else {
    return {first, 1, false};
  }
  if (text.size() < bytes) return {first, 1, false};
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0U) != 0x80U) return {first, 1, false};
    value = (value << 6U) | (byte(i) & 0x3FU);
  }
  if (value < smallest || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF))
    return {first, 1, false};
  return {value, bytes, true};
}

bool IsInvisible(std::uint32_t c) {
  const auto in = [c](std::uint32_t low, std::uint32_t high) { return low <= c && c <= high; };
  return c < 0x20 || in(0x7F, 0x9F) ||  // C0, DEL, C1: some terminals obey these in UTF-8, too
         c == 0xAD || c == 0x061C || c == 0x180E || in(0x200B, 0x200F) || in(0x2028, 0x202E) ||
         in(0x2060, 0x206F) ||  // direction, width, line breaks
         in(0xFE00, 0xFE0F) || c == 0xFEFF || in(0xFFF9, 0xFFFB) || in(0xE0000, 0xE0FFF);
}

}  // namespace

std::string Printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const CodePoint c = Next(text);
    if (c.valid && !IsInvisible(c.value)) {
      out += text.substr(0, c.bytes);
    } else if (c.value == '\n') {
      out += "\\n";
    } else if (c.value == '\t') {
      out += "\\t";
    } else if (c.value == '\r') {
      out += "\\r";
    } else if (!c.valid || c.value < 0x20) {
      out += fmt::format("\\x{:02x}", c.value);
    } else if (c.value < 0x10000) {
      out += fmt::format("\\u{:04x}", c.value);
    } else {
      const std::uint32_t rest = c.value - 0x10000;
      out += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (rest >> 10U), 0xDC00 + (rest & 0x3FFU));
    }
    text.remove_prefix(c.bytes);
  }
  return out;
}

std::string PrintableLines(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    out += Printable(text.substr(0, end));
    if (end == std::string_view::npos) break;
    out += '\n';
    text.remove_prefix(end + 1);
  }
  return out;
}

namespace {

// From the Hangul block on most characters are two columns wide. Counting a narrow one as two only
// cuts a little early.
std::size_t WidthOf(const CodePoint& c) { return c.valid && c.value >= 0x1100 ? 2 : 1; }

}  // namespace

std::size_t Columns(std::string_view printable) {
  std::size_t columns = 0;
  while (!printable.empty()) {
    const CodePoint c = Next(printable);
    columns += WidthOf(c);
    printable.remove_prefix(c.bytes);
  }
  return columns;
}

std::string Fit(std::string_view printable, std::size_t columns) {
  if (Columns(printable) <= columns) return std::string(printable);
  constexpr std::string_view kCut = "...";
  const std::size_t room = columns > kCut.size() ? columns - kCut.size() : columns;
  std::size_t used = 0, bytes = 0;
  for (std::string_view rest = printable; !rest.empty();) {
    const CodePoint c = Next(rest);
    if (used + WidthOf(c) > room) break;
    used += WidthOf(c);
    bytes += c.bytes;
    rest.remove_prefix(c.bytes);
  }
  std::string out(printable.substr(0, bytes));
  if (columns > kCut.size()) out += kCut;
  return out;
}

std::vector<std::string> Wrap(std::string_view printable, std::size_t columns,
                              std::size_t max_lines) {
  std::vector<std::string> lines;
  while (!printable.empty() && lines.size() < max_lines) {
    if (lines.size() + 1 == max_lines || Columns(printable) <= columns) {
      lines.push_back(Fit(printable, columns));
      break;
    }
    std::size_t fits = 0;  // bytes up to the last blank at which the line may end
    for (std::size_t blank = printable.find(' ');
         blank != std::string_view::npos && Columns(printable.substr(0, blank)) <= columns;
         blank = printable.find(' ', blank + 1)) {
      fits = blank;
    }
    if (fits == 0) {  // one long word: what follows it stays on its line, cut
      lines.push_back(Fit(printable, columns));
      break;
    }
    lines.emplace_back(printable.substr(0, fits));
    printable.remove_prefix(fits + 1);
  }
  return lines;
}

std::string Paint(std::string_view printable, Color color, bool enabled) {
  std::string_view code;
  switch (color) {
    case Color::kNone:
      break;
    case Color::kBold:
      code = "1";
      break;
    case Color::kDim:
      code = "2";
      break;
    case Color::kGreen:
      code = "32";
      break;
    case Color::kYellow:
      code = "33";
      break;
    case Color::kRed:
      code = "31";
      break;
  }
  if (!enabled || code.empty() || printable.empty()) return std::string(printable);
  return fmt::format("\x1b[{}m{}\x1b[0m", code, printable);
}

}  // namespace backfill::cli
