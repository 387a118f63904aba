#include "worker/engine/window.h"

#include <rapidcheck.h>

#include <limits>
#include <set>

namespace backfill::worker {
namespace {

Window Fresh(Range range) { return std::move(*Window::Restore(range, range.begin, "", {})); }

// Bit i of the bitmap.
bool BitOf(const std::string& bitmap, std::uint64_t i) {
  return i / 8 < bitmap.size() && (bitmap[i / 8] >> (i % 8) & 1) != 0;
}

TEST(WindowTest, CursorFollowsTheLowestRecordWithoutAnOutcome) {
  Window w = Fresh({10, 20});
  w.Mark(11, Outcome::kUpdated);
  w.Mark(12, Outcome::kSkipped);
  EXPECT_EQ(w.cursor(), 10);
  EXPECT_EQ(w.DoneAbove(), std::string("\x06"));
  w.Mark(10, Outcome::kFailed);
  EXPECT_EQ(w.cursor(), 13);
  EXPECT_EQ(w.DoneAbove(), "");
  EXPECT_EQ(w.counts(), (OutcomeCounts{.updated = 1, .unchanged = 0, .skipped = 1, .failed = 1}));
}

TEST(WindowTest, IsCompleteWhenTheCursorReachesTheEnd) {
  Window w = Fresh({5, 7});
  EXPECT_FALSE(w.complete());
  w.Mark(6, Outcome::kUpdated);
  w.Mark(5, Outcome::kUpdated);
  EXPECT_TRUE(w.complete());
  EXPECT_TRUE(Fresh({3, 3}).complete());
}

TEST(WindowTest, ReachesNoFurtherThanItsSizeBeyondTheCursor) {
  const Window w = Fresh({0, 100'000});
  EXPECT_TRUE(w.InReach(4095));
  EXPECT_FALSE(w.InReach(4096));
  EXPECT_FALSE(w.InReach(-1));
  EXPECT_FALSE(Fresh({0, 10}).InReach(10));
}

TEST(WindowDeathTest, ASecondOutcomeOfARecordEndsTheProcess) {
  Window w = Fresh({0, 10});
  w.Mark(3, Outcome::kUpdated);
  EXPECT_DEATH(w.Mark(3, Outcome::kUpdated), "");
  EXPECT_DEATH(w.Mark(10, Outcome::kUpdated), "");
}

TEST(WindowTest, SkipsWhatIsDoneWhenItIsRestored) {
  auto w = Window::Restore({0, 100}, 40, std::string("\x05\x80", 2), {.updated = 43});
  ASSERT_TRUE(w.ok()) << w.error().message;
  EXPECT_EQ(w->cursor(), 41);  // bit 0 was set: the cursor moves on
  EXPECT_TRUE(w->IsDone(39));
  EXPECT_TRUE(w->IsDone(40));
  EXPECT_FALSE(w->IsDone(41));
  EXPECT_TRUE(w->IsDone(42));
  EXPECT_TRUE(w->IsDone(55));
  EXPECT_FALSE(w->IsDone(56));
}

TEST(WindowTest, RefusesWhatContradictsItself) {
  const auto refused = [](Range r, Position cursor, const std::string& bits, std::uint64_t count) {
    const auto w = Window::Restore(r, cursor, bits, {.updated = count});
    return !w.ok() && w.error().code == ErrorCode::kInvalid;
  };
  EXPECT_TRUE(refused({0, 10}, 11, "", 11));
  EXPECT_TRUE(refused({5, 10}, 4, "", 0));
  EXPECT_TRUE(refused({10, 5}, 7, "", 0));
  EXPECT_TRUE(refused({0, 10}, 5, std::string("\x20"), 6)) << "bit 5 is position 10";
  EXPECT_TRUE(refused({0, 10}, 5, "", 4));
  EXPECT_TRUE(refused({0, 10}, 5, "", 6));
  EXPECT_TRUE(refused({0, 1'000'000}, 0, std::string(513, '\xff'), 513 * 8));
  EXPECT_FALSE(refused({0, 10}, 5, std::string("\x02\0\0", 3), 6))
      << "zero bytes at the end mean nothing";
}

TEST(WindowTest, WorksAtBothEndsOfTheKeySpace) {
  constexpr Position kMin = std::numeric_limits<Position>::min();
  constexpr Position kMax = std::numeric_limits<Position>::max();
  Window all = Fresh({kMin, kMax});
  EXPECT_TRUE(all.InReach(kMin + 4095));
  EXPECT_FALSE(all.InReach(kMax - 1));
  all.Mark(kMin, Outcome::kUpdated);
  EXPECT_EQ(all.cursor(), kMin + 1);
  Window last = Fresh({kMax - 2, kMax});
  last.Mark(kMax - 1, Outcome::kUpdated);
  last.Mark(kMax - 2, Outcome::kUpdated);
  EXPECT_TRUE(last.complete());
}

TEST(WindowTest, ShrinksToWhatIsAskedButKeepsWhatIsInUseOrDone) {
  Window w = Fresh({0, 100});
  EXPECT_EQ(w.Shrink(60, 0), 60);
  EXPECT_EQ(w.Shrink(80, 0), 60) << "never raised again";
  EXPECT_EQ(w.Shrink(10, 30), 30) << "29 was sent";
  w.Mark(25, Outcome::kUpdated);
  EXPECT_EQ(w.Shrink(10, 0), 26) << "25 has an outcome";
}

TEST(WindowTest, AnUnstartedOneShrinksToNothing) {
  Window w = Fresh({10, 100});
  EXPECT_EQ(w.Shrink(0, 10), 10);
  EXPECT_TRUE(w.complete());
}

TEST(WindowProperty, AgreesWithASetAndSurvivesEveryRestore) {
  EXPECT_TRUE(rc::check("any order of outcomes, restored at any point", [] {
    const Position begin = *rc::gen::inRange<Position>(-5000, 5000);
    const Position end = begin + *rc::gen::inRange<Position>(1, 6000);
    Window w = Fresh({begin, end});
    std::set<Position> open;
    for (Position p = begin; p < end; ++p) open.insert(p);
    OutcomeCounts counts;
    const int steps = *rc::gen::inRange(1, 400);
    for (int i = 0; i < steps && !open.empty(); ++i) {
      if (*rc::gen::inRange(0, 10) == 0) {
        auto again = Window::Restore({begin, end}, w.cursor(), w.DoneAbove(), w.counts());
        RC_ASSERT(again.ok());
        w = *again;
      }
      // Near the cursor more often than far from it, so that it moves.
      const auto ahead = *rc::gen::element<Position>(0, 0, 1, 2, 40, 1000, 4095);
      const auto it = open.lower_bound(*open.begin() + ahead);
      if (it == open.end() || !w.InReach(*it)) continue;
      const auto outcome = *rc::gen::element(Outcome::kUpdated, Outcome::kFailed);
      outcome == Outcome::kUpdated ? ++counts.updated : ++counts.failed;
      w.Mark(*it, outcome);
      open.erase(it);
      RC_ASSERT(w.cursor() == (open.empty() ? end : *open.begin()));
      RC_ASSERT(w.counts() == counts);
    }
    const std::string bits = w.DoneAbove();
    RC_ASSERT((bits.empty() || bits.back() != '\0'));  // the macro's own || evaluates both sides
    for (Position p = w.cursor(); p < std::min<Position>(end, w.cursor() + 4096); ++p) {
      RC_ASSERT(w.IsDone(p) == !open.contains(p));
      RC_ASSERT(BitOf(bits, static_cast<std::uint64_t>(p - w.cursor())) == !open.contains(p));
    }
  }));
}

}  // namespace
}  // namespace backfill::worker
