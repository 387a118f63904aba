#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace backfill::kube {

// An object may nest this deep, in a page, in an event or alone; nlohmann copies and destroys what
// it has parsed by recursion.
inline constexpr int kMaxJsonDepth = 64;

// Any JSON that a server sends. Errors (kInvalid) say at which byte, never what stood there.
// `metadata.managedFields` is dropped while parsing.
Result<nlohmann::json> ParseJson(std::string_view text);

// Reads the members of an object, with defaults for what is absent or null, as Go's decoder has
// them. The first member of a wrong type goes to `problem` with its path, and what is read after
// that does not matter: a decoder reads all it needs, then looks at `problem` once.
//
//     std::string problem;
//     const JsonFields spec = JsonFields(object, "", problem).Object("spec");
//     job.parallelism = spec.Int("parallelism", 1);
//     if (!problem.empty()) return Error{ErrorCode::kInvalid, problem};
//
// Refers to the object and to `problem`, which must outlive it.
class JsonFields {
 public:
  JsonFields(const nlohmann::json& object, std::string path, std::string& problem);

  [[nodiscard]] std::string String(const char* key) const;
  [[nodiscard]] std::int64_t Int(const char* key, std::int64_t otherwise = 0) const;
  [[nodiscard]] bool Bool(const char* key, bool otherwise = false) const;
  [[nodiscard]] std::vector<std::string> Strings(const char* key) const;
  [[nodiscard]] std::map<std::string, std::string> StringMap(const char* key) const;
  [[nodiscard]] JsonFields Object(const char* key) const;  // of an absent one: without members
  [[nodiscard]] std::vector<JsonFields> Objects(const char* key) const;
  [[nodiscard]] bool Has(const char* key) const;
  [[nodiscard]] std::vector<std::string> Keys() const;

 private:
  [[nodiscard]] const nlohmann::json* Find(const char* key) const;
  void Complain(const std::string& path, std::string_view wanted) const;
  [[nodiscard]] std::string PathTo(std::string_view key) const;

  const nlohmann::json* object_;  // null: there is none
  std::string path_;
  std::string* problem_;
};

}  // namespace backfill::kube
