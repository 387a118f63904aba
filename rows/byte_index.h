#pragma once

#include <cstddef>
#include <cstdint>

namespace backfill::rows {

// The three bytes that are looked for; name one twice to look for fewer.
struct SoughtBytes {
  char a = '\n';
  char b = '\n';
  char c = '\n';
};

struct IndexResult {
  std::size_t found = 0;
  bool ascii = true;
};

// Writes base + i for each i < size where data[i] is one of the sought bytes, in order. `data` must
// be readable for kPadding bytes more, and `out` have room for size + kIndexSlack positions.
inline constexpr std::size_t kIndexSlack = 16;
IndexResult IndexBytes(const char* data, std::size_t size, SoughtBytes sought, std::uint32_t base,
                       std::uint32_t* out);

// What IndexBytes does on processors without AVX2, for tests.
IndexResult PortableIndexBytes(const char* data, std::size_t size, SoughtBytes sought,
                               std::uint32_t base, std::uint32_t* out);

}  // namespace backfill::rows
