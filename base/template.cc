#include "base/template.h"

#include <algorithm>
#include <cctype>
#include <string>

#include "base/utf8.h"

namespace backfill {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{64} * 1024;
constexpr std::size_t kMaxParts = 256;
constexpr std::size_t kMaxNameBytes = 128;

bool IsNameByte(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.';
}

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// One pass over the text. Columns count characters, so continuation bytes of UTF-8 do not move
// them.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<std::vector<TemplatePart>> Parse() {
    if (text_.size() > kMaxBytes) return Fail(1, 1, "the text is longer than 64 KiB");
    while (!AtEnd()) {
      if (Next("{{{{")) {
        Literal(2);
        Skip(2);
      } else if (Next("{{")) {
        EndLiteral();
        TRY(Placeholder());
      } else {
        Literal(1);
      }
      if (parts_.size() + (literal_.text.empty() ? 0 : 1) > kMaxParts) {
        return Fail(line_, column_, "more than 256 parts; use fewer placeholders");
      }
    }
    EndLiteral();
    return std::move(parts_);
  }

 private:
  [[nodiscard]] bool AtEnd() const { return at_ == text_.size(); }
  [[nodiscard]] bool Next(std::string_view token) const {
    return text_.substr(at_).starts_with(token);
  }

  void Skip(std::size_t bytes) {
    for (std::size_t i = 0; i < bytes; ++i, ++at_) {
      const auto c = static_cast<unsigned char>(text_[at_]);
      if (c == '\n') {
        ++line_;
        column_ = 1;
      } else if ((c & 0xC0U) != 0x80U) {
        ++column_;
      }
    }
  }
  void SkipBlanks() {
    while (!AtEnd() && IsBlank(text_[at_])) Skip(1);
  }

  void Literal(std::size_t bytes) {
    if (literal_.text.empty()) literal_.line = line_, literal_.column = column_;
    literal_.text += text_.substr(at_, bytes);
    Skip(bytes);
  }
  void EndLiteral() {
    if (!literal_.text.empty()) parts_.push_back(std::move(literal_));
    literal_ = TemplatePart{};
  }

  std::string Word() {
    const std::size_t begin = at_;
    while (!AtEnd() && IsNameByte(text_[at_])) Skip(1);
    return std::string(text_.substr(begin, at_ - begin));
  }

  Status Placeholder() {
    TemplatePart part;
    part.kind = TemplatePart::Kind::kPlaceholder;
    part.line = line_;
    part.column = column_;
    Skip(2);
    SkipBlanks();
    part.text = Word();
    SkipBlanks();
    const bool filtered = Next("|");
    if (filtered) {
      Skip(1);
      SkipBlanks();
      part.filter = Word();
      SkipBlanks();
    }
    if (!Next("}}")) return Unexpected(part);
    if (part.text.empty()) {
      return Fail(
          part.line, part.column,
          "the placeholder is empty; write a name, such as {{key}}, or {{{{ for a literal {{");
    }
    if (filtered && part.filter.empty()) {
      return Fail(part.line, part.column,
                  "the filter after '|' is missing; write one, such as {{" + part.text +
                      "|json}}, or leave '|' out");
    }
    if (part.text.size() > kMaxNameBytes || part.filter.size() > kMaxNameBytes) {
      return Fail(part.line, part.column, "the name is longer than 128 bytes");
    }
    Skip(2);
    parts_.push_back(std::move(part));
    return Ok{};
  }

  // What stands where the placeholder should end.
  [[nodiscard]] Error Unexpected(const TemplatePart& part) const {
    if (text_.find("}}", at_) == std::string_view::npos) {
      return Fail(
          part.line, part.column,
          "\"{{\" is never closed; end it with \"}}\", or write \"{{{{\" for a literal \"{{\"");
    }
    if (Next("{") && part.text.empty()) {
      return Fail(
          line_, column_,
          "\"{{{\" is unclear; put a blank between the brace and the placeholder: \"{ {{\"");
    }
    const Character c = FirstCharacter(text_.substr(at_));
    const bool shown = c.code > 0x20 && c.code != 0x7F && c.code != kNoCharacter;
    const std::string what = shown ? "'" + std::string(text_.substr(at_, c.bytes)) + "'"
                             : IsBlank(text_[at_]) ? "a blank"
                                                   : "a character";
    return Fail(line_, column_,
                what +
                    " cannot stand here; a placeholder is {{name}} or {{name|filter}}, of letters, "
                    "digits, '_', '-' and '.'");
  }

  static Error Fail(int line, int column, std::string_view message) {
    return Error{ErrorCode::kInvalid, "line " + std::to_string(line) + ", column " +
                                          std::to_string(column) + ": " + std::string(message)};
  }

  const std::string_view text_;
  std::size_t at_ = 0;
  int line_ = 1;
  int column_ = 1;
  TemplatePart literal_;
  std::vector<TemplatePart> parts_;
};

}  // namespace

Result<std::vector<TemplatePart>> ParseTemplate(std::string_view text) {
  return Parser(text).Parse();
}

}  // namespace backfill
