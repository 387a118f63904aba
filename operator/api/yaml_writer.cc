#include "operator/api/yaml_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>

#include "base/utf8.h"

// Written by hand: yaml-cpp's emitter leaves strings such as 010 or "yes" without quotes, and line
// breaks of Unicode that other readers fold.
namespace backfill::api {
namespace {

using Kind = Node::Kind;

// Beginning with a letter and made of words only, so that no reader, of YAML 1.1 or 1.2, takes it
// for anything else.
bool IsPlain(const std::string& text) {
  static constexpr std::array<std::string_view, 10> kWords = {
      "true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan"};
  static constexpr std::string_view kInner = " -_./";
  if (text.empty() || std::isalpha(static_cast<unsigned char>(text.front())) == 0) return false;
  if (text.back() == ' ') return false;
  const bool words = std::ranges::all_of(text, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || kInner.find(c) != kInner.npos;
  });
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return words && std::ranges::count(kWords, std::string_view(lower)) == 0;
}

// What is escaped: controls, what some readers take for a line break or a byte order mark, and what
// changes the direction of the text, which our reader does not take otherwise.
bool NeedsEscape(char32_t c) {
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || (c >= 0x2028 && c <= 0x202E) ||
         (c >= 0x2066 && c <= 0x2069) || c == 0xFEFF;
}

std::string Quoted(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const Character next = FirstCharacter(text);
    if (next.code == '"' || next.code == '\\') {
      out += '\\';
      out += text.front();
    } else if (next.code == '\n') {
      out += "\\n";
    } else if (NeedsEscape(next.code)) {
      out += fmt::format("\\u{:04X}", static_cast<unsigned>(next.code));
    } else if (next.code == kNoCharacter) {
      out += "\\uFFFD";
    } else {
      out += text.substr(0, next.bytes);
    }
    text.remove_prefix(next.bytes);
  }
  return out + '"';
}

std::string PlainOrQuoted(const std::string& text) { return IsPlain(text) ? text : Quoted(text); }

// A value that fits on the line of its key. Empty: it does not.
std::string Inline(const Node& node) {
  switch (node.kind) {
    case Kind::kNull:
    case Kind::kAmbiguous:
      return "null";
    case Kind::kBool:
      return node.boolean ? "true" : "false";
    case Kind::kInteger:
      return ToString(node.integer);
    case Kind::kFloat:
      return fmt::format("{}", std::isfinite(node.number) ? node.number : 0.0);
    case Kind::kString:
      return PlainOrQuoted(node.text);
    case Kind::kMap:
      return node.members.empty() ? "{}" : "";
    case Kind::kList:
      break;
  }
  std::string list;
  for (const Node& item : node.items) {
    if (!item.Is(Kind::kInteger)) return "";
    list += (list.empty() ? "" : ", ") + ToString(item.integer);
  }
  return "[" + list + "]";
}

void Write(const Node& node, std::size_t indent, std::string& out);

// What stands behind "key:" or "-", up to the end of its last line.
void WriteBelow(const Node& node, std::size_t indent, std::string& out) {
  const std::string value = Inline(node);
  out += value.empty() ? "\n" : " " + value + "\n";
  if (value.empty()) Write(node, indent, out);
}

void Write(const Node& node, std::size_t indent, std::string& out) {
  for (const Member& member : node.members) {
    out += std::string(indent, ' ') + PlainOrQuoted(member.key) + ":";
    // As people write it, the dashes of a list stand under its key.
    WriteBelow(member.value, member.value.Is(Kind::kList) ? indent : indent + 2, out);
  }
  for (const Node& item : node.items) {
    if (!item.Is(Kind::kMap) || item.members.empty()) {
      out += std::string(indent, ' ') + "-";
      WriteBelow(item, indent + 2, out);
      continue;
    }
    std::string map;
    Write(item, indent + 2, map);
    map[indent] = '-';  // its first line begins with two blanks more
    out += map;
  }
}

}  // namespace

std::string WriteYaml(const Node& node) {
  const std::string value = Inline(node);
  if (!value.empty()) return value + "\n";
  std::string out;
  Write(node, 0, out);
  return out;
}

}  // namespace backfill::api
