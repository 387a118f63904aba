#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace backfill {

// A parsed text with placeholders: {{name}} or {{name|filter}}, blanks allowed inside. Knows no
// names: the caller does. A literal "{{" is written "{{{{". "}}" outside a placeholder is literal.
struct TemplatePart {
  enum class Kind { kLiteral, kPlaceholder };
  Kind kind = Kind::kLiteral;
  std::string text;    // the literal, or the placeholder's name
  std::string filter;  // after '|', or empty
  int line = 1;        // of the part inside the template text, from 1
  int column = 1;
  bool operator==(const TemplatePart&) const = default;
};

// Errors (kInvalid) name "line L, column C": unclosed or empty placeholder, bad characters in a
// name. At most 64 KiB of text and 256 parts.
Result<std::vector<TemplatePart>> ParseTemplate(std::string_view text);

}  // namespace backfill
