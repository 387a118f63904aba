#pragma once

#include <compare>
#include <cstdint>

namespace backfill {

// Identifies a shard within one stage of one plan: chunk x 1000 + slot (0..499 planned, 500..999
// split off).
struct ShardId {
  std::int32_t value = -1;
  auto operator<=>(const ShardId&) const = default;
};

// How often a shard has been given away; 0: never. A lease is known by (shard, attempt).
struct Attempt {
  std::uint32_t value = 0;
  auto operator<=>(const Attempt&) const = default;
};

// Counts the leaders of one Backfill; each new leader takes a higher one.
struct Epoch {
  std::uint64_t value = 0;
  auto operator<=>(const Epoch&) const = default;
};

// One connected stream of a worker; unique within one leader.
struct SessionId {
  std::uint64_t value = 0;
  auto operator<=>(const SessionId&) const = default;
};

}  // namespace backfill
