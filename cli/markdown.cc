#include "cli/markdown.h"

#include <algorithm>

#include "cli/terminal_text.h"

namespace backfill::cli {
namespace {

// A run of backticks that does not stand in `text`.
std::string Fence(std::string_view text, std::size_t at_least) {
  std::size_t longest = 0;
  std::size_t run = 0;
  for (const char c : text) {
    run = c == '`' ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  return std::string(std::max(longest + 1, at_least), '`');
}

std::string Row(const std::vector<std::string>& cells) {
  std::string out = "|";
  for (const std::string& cell : cells) out += cell.empty() ? " |" : " " + cell + " |";
  return out + "\n";
}

}  // namespace

std::string MarkdownText(std::string_view text) {
  static constexpr std::string_view kSigns = "\\`*_{}[]()#+!|~$";
  std::string out;
  for (const char c : Printable(text)) {
    if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '&') {
      out += "&amp;";
    } else {
      if (kSigns.find(c) != std::string_view::npos) out += '\\';
      out += c;
    }
  }
  return out;
}

std::string MarkdownCode(std::string_view text) {
  const std::string shown = Printable(text);
  if (shown.empty()) return "";
  std::string inside;
  for (const char c : shown) {
    if (c == '|') inside += '\\';  // else it ends the cell; taken away again by the table
    inside += c;
  }
  const std::string fence = Fence(shown, 1);
  const bool padded = shown.front() == '`' || shown.back() == '`' || shown.front() == ' ';
  const std::string blank = padded ? " " : "";
  std::string out = fence;
  out += blank;
  out += inside;
  out += blank;
  out += fence;
  return out;
}

std::string MarkdownBlock(std::string_view text) {
  std::string shown = PrintableLines(text);
  while (shown.ends_with('\n')) shown.pop_back();
  const std::string fence = Fence(shown, 3);
  return fence + "\n" + shown + "\n" + fence + "\n";
}

std::string MarkdownTable(const std::vector<std::string>& header,
                          const std::vector<std::vector<std::string>>& rows) {
  std::string out = Row(header) + "|";
  for (std::size_t i = 0; i < header.size(); ++i) out += "---|";
  out += "\n";
  for (const std::vector<std::string>& row : rows) out += Row(row);
  return out;
}

}  // namespace backfill::cli
