#include "cli/terminal_text.h"

#include <fmt/format.h>

#include <cstdint>

#include "base/utf8.h"

namespace backfill::cli {
namespace {

bool IsInvisible(char32_t c) {
  const auto in = [c](char32_t low, char32_t high) { return low <= c && c <= high; };
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
    const Character c = FirstCharacter(text);
    const bool valid = c.code != kNoCharacter;
    const std::uint32_t value = valid ? c.code : static_cast<unsigned char>(text.front());
    if (valid && !IsInvisible(c.code)) {
      out += text.substr(0, c.bytes);
    } else if (value == '\n') {
      out += "\\n";
    } else if (value == '\t') {
      out += "\\t";
    } else if (value == '\r') {
      out += "\\r";
    } else if (!valid || value < 0x20) {
      out += fmt::format("\\x{:02x}", value);
    } else if (value < 0x10000) {
      out += fmt::format("\\u{:04x}", value);
    } else {
      const std::uint32_t rest = value - 0x10000;
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
std::size_t WidthOf(const Character& c) {
  return c.code != kNoCharacter && c.code >= 0x1100 ? 2 : 1;
}

}  // namespace

std::size_t Columns(std::string_view printable) {
  std::size_t columns = 0;
  while (!printable.empty()) {
    const Character c = FirstCharacter(printable);
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
    const Character c = FirstCharacter(rest);
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
