#include "operator/api/node.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "base/utf8.h"
#include "operator/api/excerpt.h"

namespace backfill::api {

Node Node::Bool(bool value) {
  Node n;
  n.kind = Kind::kBool;
  n.boolean = value;
  n.text = value ? "true" : "false";
  return n;
}

Node Node::Int(Integer value) {
  Node n;
  n.kind = Kind::kInteger;
  n.integer = value;
  n.text = ToString(value);
  return n;
}

Node Node::Float(double value) {
  Node n;
  n.kind = Kind::kFloat;
  n.number = value;
  return n;
}

Node Node::String(std::string value) {
  Node n;
  n.kind = Kind::kString;
  n.text = std::move(value);
  return n;
}

Node Node::List() {
  Node n;
  n.kind = Kind::kList;
  return n;
}

Node Node::Map() {
  Node n;
  n.kind = Kind::kMap;
  return n;
}

const Node* Node::Find(std::string_view key) const {
  for (const Member& member : members) {
    if (member.key == key) return &member.value;
  }
  return nullptr;
}

Node* Node::Find(std::string_view key) {
  return const_cast<Node*>(std::as_const(*this).Find(key));  // NOLINT: the node itself is not const
}

const Node* Node::At(std::string_view path) const {
  const Node* node = this;
  while (node != nullptr && !path.empty()) {
    const std::size_t dot = path.find('.');
    node = node->Find(path.substr(0, dot));
    path = dot == std::string_view::npos ? std::string_view{} : path.substr(dot + 1);
  }
  return node;
}

const Node* Node::At(std::string_view path, Kind k) const {
  const Node* node = At(path);
  return node != nullptr && node->kind == k ? node : nullptr;
}

std::string Node::TextAt(std::string_view path) const {
  const Node* node = At(path, Kind::kString);
  return node == nullptr ? "" : node->text;
}

bool Node::IsTrueAt(std::string_view path) const {
  const Node* node = At(path, Kind::kBool);
  return node != nullptr && node->boolean;
}

Node& Node::Add(std::string key, Node value) {
  members.push_back({std::move(key), value.line, value.column, std::move(value)});
  return members.back().value;
}

void Node::Remove(std::string_view key) {
  std::erase_if(members, [key](const Member& member) { return member.key == key; });
}

bool SameValue(const Node& a, const Node& b) {
  if (a.kind != b.kind) return false;
  switch (a.kind) {
    case Node::Kind::kNull:
      return true;
    case Node::Kind::kBool:
      return a.boolean == b.boolean;
    case Node::Kind::kInteger:
      return a.integer == b.integer;
    case Node::Kind::kFloat:
      return a.number == b.number;
    case Node::Kind::kString:
    case Node::Kind::kAmbiguous:
      return a.text == b.text;
    case Node::Kind::kList:
      return std::ranges::equal(a.items, b.items, SameValue);
    case Node::Kind::kMap:
      return a.members.size() == b.members.size() &&
             std::ranges::all_of(a.members, [&b](const Member& member) {
               const Node* other = b.Find(member.key);
               return other != nullptr && SameValue(member.value, *other);
             });
  }
  return false;
}

std::string ToString(Integer value) {
  if (value == 0) return "0";
  const bool negative = value < 0;
  std::string digits;
  for (; value != 0; value /= 10) {
    const int digit = static_cast<int>(value % 10);
    digits += static_cast<char>('0' + (digit < 0 ? -digit : digit));
  }
  if (negative) digits += '-';
  std::ranges::reverse(digits);
  return digits;
}

std::string Join(std::string_view path, std::string_view key) {
  const bool plain = !key.empty() && std::ranges::all_of(key, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-';
  });
  if (!plain || key.size() > kMaxExcerptBytes) {
    return std::string(path) + "[" + Excerpt(key) + "]";
  }
  return path.empty() ? std::string(key) : std::string(path) + "." + std::string(key);
}

std::string JoinIndex(std::string_view path, std::size_t index) {
  return std::string(path) + "[" + std::to_string(index) + "]";
}

void Problems::Add(int line, int column, std::string path, std::string message) {
  if (problems_.size() == kMaxProblems) {
    ++left_out_;
    return;
  }
  // Behind those of the same place, so that what was found first is said first.
  const auto place = [](const Problem& problem) { return std::pair(problem.line, problem.column); };
  const auto behind = std::ranges::upper_bound(problems_, std::pair(line, column), {}, place);
  problems_.insert(behind, {"", line, column, std::move(path), std::move(message)});
}

std::vector<Problem> Problems::Take(const std::string& file, std::string_view text) {
  // Problems come in the order of lines, so one pass over the text suffices.
  std::size_t line_start = 0;
  int line = 1;
  for (Problem& problem : problems_) {
    problem.file = file;
    for (; line < problem.line; ++line) {
      const std::size_t end = text.find('\n', line_start);
      if (end == std::string_view::npos) break;
      line_start = end + 1;
    }
    if (line != problem.line || problem.column < 2) continue;
    const auto before = static_cast<std::size_t>(problem.column - 1);
    problem.column = 1 + static_cast<int>(CountCharacters(text.substr(line_start, before)));
  }
  if (left_out_ > 0) {
    const Problem last = problems_.back();
    problems_.push_back(
        {file, last.line, last.column, "", "and " + std::to_string(left_out_) + " more problems"});
  }
  return std::exchange(problems_, {});
}

}  // namespace backfill::api
