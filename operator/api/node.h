#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "operator/api/decode.h"

namespace backfill::api {

// Exact over all of int64 and uint64, with room to see that a number is beyond them.
using Integer = __int128;

// A value of a document, with its place. Text becomes a Node before anything else happens, so that
// what is said about it can name the line. A plain value type; copies are deep.
struct Member;
struct Node {
  enum class Kind {
    kNull,
    kBool,
    kInteger,
    kFloat,
    kString,
    kList,
    kMap,
    kAmbiguous,  // programs disagree: 010, 0x1F, 1_000, no; no field takes it
  };
  Kind kind = Kind::kNull;
  int line = 0;  // from 1; 0: not from a file
  int column = 0;
  bool boolean = false;
  Integer integer = 0;  // saturates at ten to the 38th
  double number = 0;    // kFloat
  std::string text;     // the string; of numbers what was written
  std::vector<Node> items;
  std::vector<Member> members;      // in the order of the file, keys are unique
  bool has_unknown_fields = false;  // set by the schema

  static Node Bool(bool value);
  static Node Int(Integer value);
  static Node Float(double value);
  static Node String(std::string value);
  static Node List();
  static Node Map();

  [[nodiscard]] bool Is(Kind k) const { return kind == k; }
  // The member's value; null when there is none or this is no map.
  [[nodiscard]] const Node* Find(std::string_view key) const;
  [[nodiscard]] Node* Find(std::string_view key);
  // Follows a dotted path of members: "target.http.url".
  [[nodiscard]] const Node* At(std::string_view path) const;
  // As At(), but only if the value is of that kind.
  [[nodiscard]] const Node* At(std::string_view path, Kind k) const;
  // The text of a string and whether a flag is set; empty and false of what is missing or of
  // another kind.
  [[nodiscard]] std::string TextAt(std::string_view path) const;
  [[nodiscard]] bool IsTrueAt(std::string_view path) const;

  // Appends; the caller knows that the key is new.
  Node& Add(std::string key, Node value);
  void Remove(std::string_view key);
};

struct Member {
  std::string key;
  int line = 0;
  int column = 0;
  Node value;
};

// Equal values; places and the order of members do not matter.
bool SameValue(const Node& a, const Node& b);

std::string ToString(Integer value);

// spec.target.http.headers + X-Id; keys that are no plain words are quoted.
std::string Join(std::string_view path, std::string_view key);
std::string JoinIndex(std::string_view path, std::size_t index);

// Gathers problems. Bounded: beyond kMaxProblems they are counted only.
class Problems {
 public:
  static constexpr std::size_t kMaxProblems = 100;

  void Add(int line, int column, std::string path, std::string message);
  void Add(const Node& at, std::string path, std::string message) {
    Add(at.line, at.column, std::move(path), std::move(message));
  }
  [[nodiscard]] bool empty() const { return problems_.empty(); }

  // Ordered by place, each with the file's name; the last one says how many were left out. Columns
  // of the result count characters; those that were added count bytes of `text` (if it is not
  // empty).
  [[nodiscard]] std::vector<Problem> Take(const std::string& file, std::string_view text);

 private:
  std::vector<Problem> problems_;  // ordered
  std::size_t left_out_ = 0;
};

}  // namespace backfill::api
