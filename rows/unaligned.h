#pragma once

#include <cstring>

namespace backfill::rows {

// The bytes at p as a number, in the order of the machine. All of them have to be there.
template <typename Word>
Word LoadUnaligned(const char* p) {
  Word word = 0;
  std::memcpy(&word, p, sizeof word);
  return word;
}

}  // namespace backfill::rows
