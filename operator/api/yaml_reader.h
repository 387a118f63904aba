#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "operator/api/node.h"

namespace backfill::api {

inline constexpr std::size_t kMaxTextBytes = std::size_t{3} * 1024 * 1024;
inline constexpr std::size_t kMaxNodes = 100'000;
inline constexpr std::size_t kMaxCopiedBytes = kMaxTextBytes;  // by anchors and aliases
inline constexpr std::size_t kMaxDepth = 64;

// Reads one document of YAML or JSON, by the core schema of YAML 1.2: what is quoted is a string,
// and what programs read in different ways (010, no) is kAmbiguous. Aliases are expanded, within
// the bounds above; what they copy counts like what is written. Absent when the text is no
// document; then, and for keys that stand twice, problems say why.
std::optional<Node> ReadYaml(std::string_view text, Problems& problems);

}  // namespace backfill::api
