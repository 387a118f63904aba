#pragma once

#include <algorithm>
#include <cctype>
#include <string>
#include <string_view>

namespace backfill::api {

// ASCII only, as the names of headers and schemes are compared.
inline std::string Lower(std::string_view word) {
  std::string lower(word);
  std::ranges::transform(lower, lower.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

}  // namespace backfill::api
