#pragma once

#include <string>
#include <vector>

#include "operator/api/node.h"

namespace backfill::api {

// A case of cases/objects.yaml or cases/changes.yaml.
struct ObjectCase {
  std::string name;
  Node current;                       // of a change: the object that is there
  Node next;                          // the object to judge
  std::vector<std::string> problems;  // "path: message"
  std::string server;                 // what an API server does: Accepts or Refuses
};

// A case of a text file: between "=== name" and "---" a file, then what is said about it.
struct TextCase {
  std::string name;
  std::string text;
  std::string said;
};

// Files are named relative to the folder cases/. What cannot be read fails the test.
std::vector<ObjectCase> ReadObjectCases(const std::string& file);
std::vector<TextCase> ReadTextCases(const std::string& file);

// Writes the cases back, with what stands before the first of them.
void WriteTextCases(const std::string& file, const std::vector<TextCase>& cases);

// "path: message" of each, without places.
std::vector<std::string> Said(const std::vector<Problem>& problems);

// `node` with a JSON merge patch (RFC 7386) applied.
Node Merged(const Node& node, const Node& patch);

}  // namespace backfill::api
