#include "worker/engine/window.h"

#include <algorithm>
#include <cstdlib>

namespace backfill::worker {

Result<Window> Window::Restore(Range range, Position cursor, std::string_view done_above,
                               const OutcomeCounts& counts) {
  if (range.begin > range.end || cursor < range.begin || cursor > range.end) {
    return Error{ErrorCode::kInvalid, "the cursor lies outside the shard"};
  }
  while (!done_above.empty() && done_above.back() == '\0') done_above.remove_suffix(1);
  if (done_above.size() > kAhead / 8)
    return Error{ErrorCode::kInvalid, "the bitmap above the cursor is too long"};

  Window w(range, cursor, counts);
  const std::uint64_t left = Distance(cursor, range.end);
  std::uint64_t done = Distance(range.begin, cursor);
  for (std::uint64_t i = 0; i < done_above.size() * 8; ++i) {
    if ((static_cast<unsigned char>(done_above[i / 8]) >> (i % 8) & 1) == 0) continue;
    if (i >= left) return Error{ErrorCode::kInvalid, "the bitmap reaches beyond the shard's end"};
    w.SetBit(Advance(cursor, i));
    ++done;
  }
  if (counts.total() != done)
    return Error{ErrorCode::kInvalid, "the counts contradict cursor and bitmap"};
  w.AdvanceCursor();
  return w;
}

bool Window::IsDone(Position p) const {
  if (p < cursor_) return true;
  return Distance(cursor_, p) < kAhead && Bit(p);
}

void Window::Mark(Position p, Outcome outcome) {
  if (!InReach(p) || Bit(p)) std::abort();
  SetBit(p);
  switch (outcome) {
    case Outcome::kUpdated:
      ++counts_.updated;
      break;
    case Outcome::kUnchanged:
      ++counts_.unchanged;
      break;
    case Outcome::kSkipped:
      ++counts_.skipped;
      break;
    case Outcome::kFailed:
      ++counts_.failed;
      break;
  }
  if (p == cursor_) AdvanceCursor();
}

void Window::AdvanceCursor() {
  while (cursor_ < end_ && Bit(cursor_)) {
    const std::uint64_t i = static_cast<std::uint64_t>(cursor_) % kAhead;
    bits_[i / 64] &= ~(std::uint64_t{1} << (i % 64));
    ++cursor_;
  }
}

Position Window::Shrink(Position end, Position in_use) {
  Position lowest = std::max(cursor_, in_use);
  const std::uint64_t reach = std::min(kAhead, Distance(cursor_, end_));
  for (std::uint64_t i = reach; i > 0; --i) {
    if (!Bit(Advance(cursor_, i - 1))) continue;
    lowest = std::max(lowest, Advance(cursor_, i));
    break;
  }
  end_ = std::min(end_, std::max(end, lowest));
  return end_;
}

std::string Window::DoneAbove() const {
  std::string out;
  const std::uint64_t reach = std::min(kAhead, Distance(cursor_, end_));
  for (std::uint64_t i = 0; i < reach; ++i) {
    if (!Bit(Advance(cursor_, i))) continue;
    if (out.size() <= i / 8) out.resize(i / 8 + 1, '\0');
    out[i / 8] = static_cast<char>(static_cast<unsigned char>(out[i / 8]) | 1U << (i % 8));
  }
  return out;
}

}  // namespace backfill::worker
