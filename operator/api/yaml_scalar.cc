#include "operator/api/yaml_scalar.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <memory>
#include <utility>

namespace backfill::api {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// [0-9]+ or, of floats, the rest of the core schema: (\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
enum class NumberShape { kNone, kInteger, kFloat };
NumberShape ShapeOf(std::string_view unsigned_text) {
  std::size_t at = 0;
  const auto digits = [&] {
    const std::size_t begin = at;
    while (at < unsigned_text.size() && IsDigit(unsigned_text[at])) ++at;
    return at - begin;
  };
  const std::size_t whole = digits();
  if (whole > 0 && at == unsigned_text.size()) return NumberShape::kInteger;
  std::size_t fraction = 0;
  if (at < unsigned_text.size() && unsigned_text[at] == '.') ++at, fraction = digits();
  if (whole + fraction == 0) return NumberShape::kNone;
  if (at < unsigned_text.size() && (unsigned_text[at] == 'e' || unsigned_text[at] == 'E')) {
    ++at;
    if (at < unsigned_text.size() && (unsigned_text[at] == '-' || unsigned_text[at] == '+')) ++at;
    if (digits() == 0) return NumberShape::kNone;
  }
  return at == unsigned_text.size() ? NumberShape::kFloat : NumberShape::kNone;
}

// Numbers of YAML 1.1 or of other bases, which some programs read as numbers and others as text.
bool ProgramsDisagree(std::string_view unsigned_text) {
  const auto only = [](std::string_view text, std::string_view allowed) {
    return !text.empty() && text.find_first_not_of(allowed) == std::string_view::npos;
  };
  if (unsigned_text.size() > 1 && unsigned_text[0] == '0') {
    const std::string_view rest = unsigned_text.substr(2);
    switch (unsigned_text[1]) {
      case 'x':
      case 'X':
        return only(rest, "0123456789abcdefABCDEF_");
      case 'o':
      case 'O':
        return only(rest, "01234567_");
      case 'b':
      case 'B':
        return only(rest, "01_");
      default:
        break;
    }
    if (ShapeOf(unsigned_text) == NumberShape::kInteger) return true;  // octal to some
  }
  return IsDigit(unsigned_text[0]) && unsigned_text.find('_') != std::string_view::npos &&
         only(unsigned_text, "0123456789_.");
}

// Truth values of YAML 1.1, which kubectl reads.
bool IsTruthOfYaml11(std::string_view word) {
  static constexpr std::array<std::string_view, 16> kWords = {
      "y",  "Y",  "yes", "Yes", "YES", "n",   "N",   "no",
      "No", "NO", "on",  "On",  "ON",  "off", "Off", "OFF"};
  return std::ranges::find(kWords, word) != kWords.end();
}

Integer ParseDigits(std::string_view digits, bool negative) {
  constexpr int kMaxDigits = 38;
  Integer value = 0;
  if (digits.size() > kMaxDigits) {
    digits = std::string_view("99999999999999999999999999999999999999");
  }
  for (const char c : digits) value = value * 10 + (c - '0');
  return negative ? -value : value;
}

}  // namespace

Node PlainScalar(std::string text) {
  Node node = Node::String(std::move(text));
  const std::string_view word = node.text;
  if (word.empty() || word == "~" || word == "null" || word == "Null" || word == "NULL") {
    node.kind = Node::Kind::kNull;
    return node;
  }
  const bool is_true = word == "true" || word == "True" || word == "TRUE";
  if (is_true || word == "false" || word == "False" || word == "FALSE") {
    node.kind = Node::Kind::kBool;
    node.boolean = is_true;
    return node;
  }
  if (IsTruthOfYaml11(word)) {
    node.kind = Node::Kind::kAmbiguous;
    return node;
  }
  const bool is_signed = word[0] == '-' || word[0] == '+';
  const std::string_view number = word.substr(is_signed ? 1 : 0);
  if (number.empty() || !(IsDigit(number[0]) || number[0] == '.')) return node;
  if (ProgramsDisagree(number)) {
    node.kind = Node::Kind::kAmbiguous;
  } else if (number == ".inf" || number == ".Inf" || number == ".INF" || word == ".nan" ||
             word == ".NaN" || word == ".NAN") {
    node.kind = Node::Kind::kFloat;
    node.number = std::numeric_limits<double>::quiet_NaN();  // no field takes either
  } else if (const NumberShape shape = ShapeOf(number); shape == NumberShape::kInteger) {
    node.kind = Node::Kind::kInteger;
    node.integer = ParseDigits(number, word[0] == '-');
  } else if (shape == NumberShape::kFloat) {
    node.kind = Node::Kind::kFloat;
    const auto parsed = std::from_chars(std::to_address(number.begin()),
                                        std::to_address(number.end()), node.number);
    if (parsed.ec != std::errc{}) node.number = std::numeric_limits<double>::quiet_NaN();
    if (word[0] == '-') node.number = -node.number;
  }
  return node;
}

}  // namespace backfill::api
