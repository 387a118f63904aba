#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "rows/row_parser.h"

namespace backfill::rows {

// Counts repeated keys of a file that is sorted by them, as most exports are: equal keys are
// neighbours there, so that the last key is all that has to be remembered. Takes both orders in
// which ids are sorted: by bytes ("10" before "9"), and shorter ones first ("9" before "10").
//
// One thread.
class KeyOrder {
 public:
  // The next keys; those with a fault are passed over. False: they are not in order, and what was
  // counted is void.
  bool Add(std::span<const KeyOrFault> keys);

  // How many times a key was one that had been there before.
  [[nodiscard]] std::uint64_t repeated() const { return repeated_; }

 private:
  std::string last_;  // no key is empty
  bool by_bytes_ = true;
  bool by_length_ = true;
  std::uint64_t repeated_ = 0;
};

}  // namespace backfill::rows
