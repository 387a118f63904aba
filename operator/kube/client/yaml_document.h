#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace backfill::kube {

// YAML of the kind that tools write for one another: one document of maps, lists and scalars.
// Plain true, false and null are what they look like; every other scalar is a string.
struct YamlDocument {
  nlohmann::json value;
  // Where what JsonFields calls users[0].user.token stands, counted from 1.
  std::map<std::string, int> lines;

  // The line of what such a problem is about, or of what is around it; 0: not known.
  [[nodiscard]] int LineOf(std::string path) const;
};

// kInvalid, beginning with "line N: " where that is known. Refuses what a file from elsewhere could
// do harm with: aliases, keys twice, more than 32 levels or 50,000 nodes, other than UTF-8. Pure.
Result<YamlDocument> ParseYaml(std::string_view text);

}  // namespace backfill::kube
