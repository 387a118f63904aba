#include "operator/api/schema.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/nearest.h"
#include "base/utf8.h"
#include "operator/api/excerpt.h"
#include "operator/api/suggest.h"

namespace backfill::api {
namespace {

using Kind = Node::Kind;

std::string Joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

std::vector<std::string> FieldsOf(const Schema& schema) {
  std::vector<std::string> names;
  names.reserve(schema.properties.size());
  for (const auto& [name, property] : schema.properties) names.push_back(name);
  return names;
}

std::string Bounds(std::optional<Integer> low, std::optional<Integer> high) {
  // The ends of int64 tell a reader nothing.
  if (low == Integer{std::numeric_limits<std::int64_t>::min()}) low.reset();
  if (high == Integer{std::numeric_limits<std::int64_t>::max()}) high.reset();
  if (low && high) return " from " + ToString(*low) + " to " + ToString(*high);
  if (low) return " of at least " + ToString(*low);
  if (high) return " of at most " + ToString(*high);
  return "";
}

// std::regex recurses by the length of the text: what is too long does not match.
bool Fits(const Schema& schema, const std::string& text) {
  if (!schema.pattern) return true;
  return static_cast<Integer>(text.size()) <= 4 * schema.max_length.value_or(0) &&
         std::regex_search(text, *schema.pattern);
}

// A number as written, if it is not endless.
std::string Shown(const Node& node) {
  return std::string(CutToBytes(node.text, kMaxExcerptBytes)) +
         (node.text.size() > kMaxExcerptBytes ? "..." : "");
}

// Why the value is not what it must be, and what would be. A number that stands where a string
// belongs could be quoted; a quoted one need not be.
bool IsWord(std::string_view text) {
  return std::ranges::all_of(
      text, [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); });
}

std::string Actual(const Schema& schema, const Node& node) {
  const bool quotable = schema.type == Schema::Type::kString && Fits(schema, node.text);
  const std::string quote = quotable ? "; put it in quotes: " + Excerpt(node.text) : "";
  switch (node.kind) {
    case Kind::kNull:
      return "has no value; give one, or leave the line out";
    case Kind::kBool:
      return "is " + node.text + quote;
    case Kind::kInteger:
    case Kind::kFloat:
      return "is the number " + Shown(node) + quote;
    case Kind::kAmbiguous:
      // A truth value to some; where none is wanted the quotes are what helps.
      if (schema.type != Schema::Type::kString && IsWord(node.text)) break;
      return "is " + Shown(node) + ", which programs read in different ways" +
             (schema.type == Schema::Type::kString ? quote
                                                   : "; write it as a plain decimal number");
    case Kind::kList:
      return "is a list";
    case Kind::kMap:
      return "is a map";
    case Kind::kString:
      break;
  }
  if (schema.format == "password") return "is a string";
  return "is the string " + Excerpt(node.text) + HowToWrite(schema, node.text);
}

class Validator {
 public:
  Validator(const Schema& root, Problems& problems) : root_(root), problems_(problems) {}

  void Check(const Schema& schema, Node& node, const std::string& path) {
    if (!HasType(schema, node)) {
      problems_.Add(node, path,
                    node.Is(Kind::kNull)
                        ? Actual(schema, node)
                        : "must be " + Allowed(schema) + ", " + Actual(schema, node));
      return;
    }
    switch (schema.type) {
      case Schema::Type::kObject:
        return CheckObject(schema, node, path);
      case Schema::Type::kArray:
        return CheckArray(schema, node, path);
      case Schema::Type::kString:
        return CheckString(schema, node, path);
      case Schema::Type::kInteger:
        return CheckInteger(schema, node, path);
      case Schema::Type::kNumber:
        return CheckNumber(schema, node, path);
      case Schema::Type::kBoolean:
        return;
    }
  }

 private:
  static bool HasType(const Schema& schema, const Node& node) {
    switch (schema.type) {
      case Schema::Type::kObject:
        return node.Is(Kind::kMap);
      case Schema::Type::kArray:
        return node.Is(Kind::kList);
      case Schema::Type::kString:
        return node.Is(Kind::kString);
      case Schema::Type::kInteger:
        return node.Is(Kind::kInteger);
      case Schema::Type::kNumber:
        return node.Is(Kind::kInteger) || node.Is(Kind::kFloat);
      case Schema::Type::kBoolean:
        return node.Is(Kind::kBool);
    }
    return false;
  }

  void CheckObject(const Schema& schema, Node& node, const std::string& path) {
    if (schema.max_properties &&
        static_cast<Integer>(node.members.size()) > *schema.max_properties) {
      problems_.Add(node, path,
                    "must have at most " + ToString(*schema.max_properties) + " entries, has " +
                        std::to_string(node.members.size()));
      return;
    }
    std::vector<std::string> meant;  // fields that seem to be there under a wrong name
    for (Member& member : node.members) {
      const Schema* property = schema.Property(member.key);
      if (property == nullptr) property = schema.additional.get();
      if (property != nullptr) {
        Check(*property, member.value, Join(path, member.key));
      } else if (!schema.preserve_unknown) {
        node.has_unknown_fields = true;
        const auto near = Nearest(member.key, FieldsOf(schema));
        if (near) meant.push_back(*near);
        problems_.Add(member.line, member.column, Join(path, member.key),
                      near ? "unknown field; did you mean " + *near + "?" + Invisible(member.key)
                           : Unknown(schema, member.key));
      }
    }
    for (const auto& [name, property] : schema.properties) {
      if (node.Find(name) != nullptr) continue;
      if (property.default_value) {
        Node value = *property.default_value;
        Place(value, node);
        Check(property, node.Add(name, std::move(value)), Join(path, name));
      } else if (std::ranges::count(schema.required, name) > 0 &&
                 std::ranges::count(meant, name) == 0) {
        problems_.Add(node, Join(path, name), "is missing; it must be " + Allowed(property));
      }
    }
  }

  // A default stands where the map begins that lacks the field.
  static void Place(Node& node, const Node& at) {
    node.line = at.line;
    node.column = at.column;
    for (Node& item : node.items) Place(item, at);
    for (Member& member : node.members) {
      member.line = at.line;
      member.column = at.column;
      Place(member.value, at);
    }
  }

  // What an editor does not show, or shows as a blank.
  static std::string Invisible(std::string_view key) {
    while (!key.empty()) {
      const Character c = FirstCharacter(key);
      if (c.code == 0xA0 || (c.code >= 0x2000 && c.code <= 0x200F) || c.code == 0x3000 ||
          c.code == 0xFEFF) {
        std::string hex;
        for (int shift = 12; shift >= 0; shift -= 4)
          hex += "0123456789ABCDEF"[(c.code >> shift) & 15U];
        return " It holds the invisible character U+" + hex;
      }
      key.remove_prefix(c.bytes);
    }
    return "";
  }

  std::string Unknown(const Schema& schema, const std::string& key) {
    if (const std::string invisible = Invisible(key); !invisible.empty())
      return "unknown field." + invisible + "; write blanks only";
    if (const auto elsewhere = FindField(root_, key))
      return "unknown field here; it belongs to " + *elsewhere;
    return "unknown field; known here: " + Joined(FieldsOf(schema));
  }

  void CheckArray(const Schema& schema, Node& node, const std::string& path) {
    const auto size = static_cast<Integer>(node.items.size());
    if (schema.max_items && size > *schema.max_items) {
      problems_.Add(
          node, path,
          "must have at most " + ToString(*schema.max_items) + " items, has " + ToString(size));
      return;
    }
    if (schema.min_items && size < *schema.min_items) {
      problems_.Add(
          node, path,
          "must have at least " + ToString(*schema.min_items) + " items, has " + ToString(size));
    }
    for (std::size_t i = 0; i < node.items.size(); ++i)
      Check(*schema.items, node.items[i], JoinIndex(path, i));
  }

  void CheckString(const Schema& schema, const Node& node, const std::string& path) {
    const auto length = static_cast<Integer>(CountCharacters(node.text));
    if (schema.max_length && length > *schema.max_length) {
      problems_.Add(node, path,
                    "must be at most " + ToString(*schema.max_length) + " characters long, is " +
                        ToString(length));
    } else if (schema.min_length && length < *schema.min_length) {
      problems_.Add(node, path,
                    length == 0 ? "is empty; it must be " + Allowed(schema)
                                : "must be " + Allowed(schema) + ", " + Actual(schema, node));
    } else if (!Fits(schema, node.text)) {
      problems_.Add(node, path, "must be " + Allowed(schema) + ", " + Actual(schema, node));
    } else if (!schema.values.empty() && std::ranges::count(schema.values, node.text) == 0) {
      const auto near = Nearest(node.text, schema.values);
      problems_.Add(node, path,
                    "must be " + Allowed(schema) + ", " + Actual(schema, node) +
                        (near ? "; did you mean " + *near + "?" : ""));
    }
  }

  void CheckInteger(const Schema& schema, const Node& node, const std::string& path) {
    const bool low = schema.minimum && node.integer < *schema.minimum;
    const bool high = schema.maximum && node.integer > *schema.maximum;
    if (!low && !high) return;
    problems_.Add(node, path,
                  (low ? "must be at least " + ToString(*schema.minimum)
                       : "must be at most " + ToString(*schema.maximum)) +
                      ", is " + Shown(node));
  }

  void CheckNumber(const Schema& schema, const Node& node, const std::string& path) {
    const double value = node.Is(Kind::kInteger) ? static_cast<double>(node.integer) : node.number;
    if (!std::isfinite(value) || (schema.minimum && value < static_cast<double>(*schema.minimum))) {
      problems_.Add(node, path, "must be " + Allowed(schema));
    }
  }

  const Schema& root_;
  Problems& problems_;
};

}  // namespace

std::string Allowed(const Schema& schema) {
  if (!schema.title.empty()) return schema.title;
  switch (schema.type) {
    case Schema::Type::kObject:
      return schema.properties.empty() ? "a map of names and values"
                                       : "a map with " + Joined(FieldsOf(schema));
    case Schema::Type::kArray:
      return "a list";
    case Schema::Type::kString:
      return schema.values.empty() ? "a string" : "one of " + Joined(schema.values);
    case Schema::Type::kInteger:
      return "a whole number" + Bounds(schema.minimum, schema.maximum);
    case Schema::Type::kNumber:
      return "a number" + Bounds(schema.minimum, schema.maximum);
    case Schema::Type::kBoolean:
      return "true or false";
  }
  return "";
}

void Validate(const Schema& schema, Node& node, Problems& problems) {
  Validator(schema, problems).Check(schema, node, "");
}

void CutToSchema(const Schema& schema, Node& node) {
  if (node.Is(Kind::kString)) {
    node.text = Printable(node.text);
    if (schema.max_length) {
      node.text = CutToBytes(node.text, static_cast<std::size_t>(*schema.max_length));
    }
  }
  if (node.Is(Kind::kInteger)) {
    node.integer = std::max(node.integer, schema.minimum.value_or(node.integer));
    node.integer = std::min(node.integer, schema.maximum.value_or(node.integer));
  }
  if (node.Is(Kind::kList) && schema.items != nullptr) {
    if (schema.max_items && static_cast<Integer>(node.items.size()) > *schema.max_items) {
      node.items.resize(static_cast<std::size_t>(*schema.max_items));
    }
    for (Node& item : node.items) CutToSchema(*schema.items, item);
  }
  for (Member& member : node.members) {
    if (const Schema* property = schema.Property(member.key)) CutToSchema(*property, member.value);
  }
}

}  // namespace backfill::api
