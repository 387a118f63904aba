#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/range.h"
#include "base/result.h"
#include "worker/engine/record.h"

namespace backfill::worker {

// Which records of one lease have an outcome: a cursor below which all have one, and a bitmap of
// kAhead records from it on, so outcomes may come in any order while the state stays small. It
// bounds what is in memory, not what is redone after a lost worker: it moves with the worker's own
// cursor, and the coordinator knows only that of the last report.
//
// Positions are dense: the i-th record from the cursor on stands at cursor + i. Not thread-safe.
class Window {
 public:
  static constexpr std::uint64_t kAhead = 4096;

  // Takes up a shard where its last report left it. kInvalid: cursor outside the range, a bitmap
  // that reaches beyond kAhead or the end, or counts that contradict both.
  static Result<Window> Restore(Range range, Position cursor, std::string_view done_above,
                                const OutcomeCounts& counts);

  // The position lies near enough to the cursor to be sent now.
  [[nodiscard]] bool InReach(Position p) const {
    return p >= cursor_ && Distance(cursor_, p) < kAhead && p < end_;
  }
  // Before the cursor, or marked in the bitmap.
  [[nodiscard]] bool IsDone(Position p) const;
  // InReach(p) and not IsDone(p), or the process ends: a second outcome of one record is a bug.
  void Mark(Position p, Outcome outcome);

  // Lowers the end to `end`, but not below the cursor, `in_use`, or what has an outcome. Never
  // raises it. Returns the end that now holds. `in_use`: every position from it on is untouched.
  Position Shrink(Position end, Position in_use);

  [[nodiscard]] Position cursor() const { return cursor_; }
  [[nodiscard]] Position end() const { return end_; }
  [[nodiscard]] const OutcomeCounts& counts() const { return counts_; }
  [[nodiscard]] bool complete() const { return cursor_ >= end_; }
  // Lowest bit of the first byte first: bit i is the record at cursor + i. No zero bytes at the
  // end.
  [[nodiscard]] std::string DoneAbove() const;

 private:
  Window(Range range, Position cursor, const OutcomeCounts& counts)
      : cursor_(cursor), end_(range.end), counts_(counts) {}

  static std::uint64_t Distance(Position from, Position to) {
    return static_cast<std::uint64_t>(to) - static_cast<std::uint64_t>(from);
  }
  // The bits form a ring: a position's place does not move when the cursor does.
  [[nodiscard]] bool Bit(Position p) const {
    const std::uint64_t i = static_cast<std::uint64_t>(p) % kAhead;
    return (bits_[i / 64] >> (i % 64) & 1) != 0;
  }
  void SetBit(Position p) {
    const std::uint64_t i = static_cast<std::uint64_t>(p) % kAhead;
    bits_[i / 64] |= std::uint64_t{1} << (i % 64);
  }
  void AdvanceCursor();

  Position cursor_;
  Position end_;
  OutcomeCounts counts_;
  std::array<std::uint64_t, kAhead / 64> bits_{};
};

}  // namespace backfill::worker
