#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace backfill::rows {

// Which bytes are looked for. Name one twice to look for fewer.
struct SoughtBytes {
  // Go to the list of breaks.
  char line_break = '\n';
  char quote = '\n';
  // Goes to the list of marks.
  char mark = '\n';
  // Whether there are marks at all.
  bool marks = false;
};

// Positions in a window, in order.
struct Positions {
  std::vector<std::uint32_t> at = {};  // with room at the end, see Reserve()
  std::size_t found = 0;               // how many there are
  std::size_t read = 0;                // how many of them were dealt with

  // Room for `more` positions.
  void Reserve(std::size_t more);
  // Forgets the first `count` ones.
  void Drop(std::size_t count);
};

// What else was noticed.
struct IndexedBytes {
  bool ascii = true;
  // No backslash, and no control character (below U+0020, and U+007F) but those that are sought:
  // what a key, and a JSON string, may hold as it stands.
  bool plain = true;
};

// Appends base + i for each i < size where data[i] is sought. `data` must be readable for kPadding
// bytes more.
IndexedBytes IndexBytes(const char* data, std::size_t size, const SoughtBytes& sought,
                        std::uint32_t base, Positions& breaks, Positions& marks);

// The ways to do it that this processor knows, the fastest first, which is the one that IndexBytes
// takes. All find the same.
using IndexFunction = IndexedBytes (*)(const char* data, std::size_t size,
                                       const SoughtBytes& sought, std::uint32_t base,
                                       Positions& breaks, Positions& marks);
std::vector<IndexFunction> IndexFunctions();

}  // namespace backfill::rows
