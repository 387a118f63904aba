#pragma once

#include <cstdint>
#include <string_view>

// What all fuzz targets share: how they say what must hold, and what they have seen.
namespace backfill::fuzz {

inline std::string_view View(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};  // NOLINT: bytes are bytes
}

// Ends the process, with the words, unless it holds. The fuzzer keeps the input.
void Require(bool holds, std::string_view what);

// An input that shows what none has shown before is kept and changed further. Coverage says so by
// itself in the build that is instrumented; in the other one these words are all that guides.
// Figures and what stands in quotes do not make a difference.
void Saw(std::string_view what);

}  // namespace backfill::fuzz
