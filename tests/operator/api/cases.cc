#include "tests/operator/api/cases.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "operator/api/yaml_reader.h"

namespace backfill::api {
namespace {

std::string PathOf(const std::string& file) { return std::string(BACKFILL_CASES) + "/" + file; }

std::string ReadAll(const std::string& file) {
  std::ifstream in(PathOf(file));
  if (!in) ADD_FAILURE() << "cannot read " << PathOf(file);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

const Node& Need(const Node& node, const std::string& path) {
  static const Node kNone;
  const Node* found = node.At(path);
  if (found == nullptr) ADD_FAILURE() << "a case has no " << path << ", line " << node.line;
  return found == nullptr ? kNone : *found;
}

}  // namespace

Node Merged(const Node& node, const Node& patch) {
  if (!patch.Is(Node::Kind::kMap)) return patch;
  Node merged = node.Is(Node::Kind::kMap) ? node : Node::Map();
  for (const Member& member : patch.members) {
    Node* there = merged.Find(member.key);
    if (member.value.Is(Node::Kind::kNull)) {
      merged.Remove(member.key);
    } else if (there != nullptr) {
      *there = Merged(*there, member.value);
    } else {
      merged.Add(member.key, Merged(Node{}, member.value));
    }
  }
  return merged;
}

std::vector<ObjectCase> ReadObjectCases(const std::string& file) {
  const std::string text = ReadAll(file);
  Problems problems;
  const auto root = ReadYaml(text, problems);
  for (const Problem& problem : problems.Take(file, text)) ADD_FAILURE() << ToString(problem);
  std::vector<ObjectCase> cases;
  if (!root) return cases;
  const Node& base = Need(*root, "base");
  for (const Node& item : Need(*root, "cases").items) {
    ObjectCase one;
    one.name = Need(item, "name").text;
    const bool change = item.Find("current") != nullptr;
    one.current = change ? Merged(base, Need(item, "current")) : base;
    one.next = Merged(one.current, Need(item, change ? "next" : "merge"));
    one.server = Need(item, "server").text;
    for (const Node& problem : Need(item, "problems").items) one.problems.push_back(problem.text);
    cases.push_back(std::move(one));
  }
  return cases;
}

std::vector<TextCase> ReadTextCases(const std::string& file) {
  std::istringstream in(ReadAll(file));
  std::vector<TextCase> cases;
  std::string* part = nullptr;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("=== ")) {
      cases.push_back({line.substr(4), "", ""});
      part = &cases.back().text;
    } else if (line == "---" && part != nullptr && part == &cases.back().text) {
      part = &cases.back().said;
    } else if (part != nullptr) {
      *part += line + "\n";
    }
  }
  return cases;
}

void WriteTextCases(const std::string& file, const std::vector<TextCase>& cases) {
  const std::string before = ReadAll(file);
  std::ofstream out(PathOf(file));
  out << before.substr(0, before.find("\n=== ") + 1);
  for (const TextCase& one : cases) {
    out << "=== " << one.name << "\n" << one.text << "---\n" << one.said;
  }
}

std::vector<std::string> Said(const std::vector<Problem>& problems) {
  std::vector<std::string> said;
  for (const Problem& problem : problems) {
    said.push_back((problem.path.empty() ? "" : problem.path + ": ") + problem.message);
  }
  return said;
}

}  // namespace backfill::api
