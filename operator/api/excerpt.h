#pragma once

#include <cstddef>
#include <string>
#include <string_view>

// Hostile text as it may stand in a message. Pure.
namespace backfill::api {

// With a blank for each control character and a '?' for each byte that is no character. Never
// longer.
std::string Printable(std::string_view text);

inline constexpr std::size_t kMaxExcerptBytes = 60;

// The text in quotes as it may appear in a message: control characters escaped, cut to
// kMaxExcerptBytes.
std::string Excerpt(std::string_view text);

}  // namespace backfill::api
