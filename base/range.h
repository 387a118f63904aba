#pragma once

#include <compare>
#include <cstdint>

namespace backfill {

// A place in a source's key space: the key itself for `range`, the index for `keys`.
using Position = std::int64_t;

// Half-open [begin, end), begin <= end. May span all of int64, so sizes are unsigned.
struct Range {
  Position begin = 0;
  Position end = 0;

  [[nodiscard]] std::uint64_t size() const {
    return static_cast<std::uint64_t>(end) - static_cast<std::uint64_t>(begin);
  }
  [[nodiscard]] bool empty() const { return begin >= end; }
  [[nodiscard]] bool Contains(Position p) const { return begin <= p && p < end; }
  auto operator<=>(const Range&) const = default;
};

// begin + offset without overflow on the way; the caller knows that the result is an int64.
inline Position Advance(Position begin, std::uint64_t offset) {
  return static_cast<Position>(static_cast<std::uint64_t>(begin) + offset);
}

}  // namespace backfill
