#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>

#include "worker/engine/engine.h"

// What is sent for the first time is noted before.
namespace backfill::worker {
namespace {

class FakeNotes final : public SentNotes {
 public:
  bool Raise(const LeaseKey& key, std::uint64_t records) override {
    if (broken) return false;
    ++writes;
    bounds[key] = records;
    return true;
  }
  void Forget(const LeaseKey& key) override { bounds.erase(key); }
  std::map<LeaseKey, std::uint64_t> bounds;
  int writes = 0;
  bool broken = false;
};

class SentNotesTest : public ::testing::Test {
 protected:
  SentNotesTest() {
    engine_.NoteWhatIsSent(notes_);
    engine_.SetGrant({1, 1e9, 1e9, now_ + 24h}, now_);
    now_ += 1s;
    const LeaseOffer offer{
        .key = kKey, .range = {0, 1000}, .cursor = 100, .counts = {.updated = 100}};
    EXPECT_TRUE(engine_.AddLease(offer, engine_.clock().OnSend(now_), now_).ok());
  }
  std::optional<Dispatch> Next() {
    while (const auto wants = engine_.WantsRecords()) {
      std::vector<Record> records;
      for (std::uint64_t i = 0; i < wants->max; ++i) {
        records.push_back({.position = Advance(wants->from, i), .key = "k"});
      }
      EXPECT_TRUE(engine_.OnRecords(wants->run, std::move(records)).ok());
    }
    return engine_.Next(now_);
  }
  void Finish(const Dispatch& sent, BatchResult result) {
    engine_.OnResult(sent.slot, std::move(result), now_);
  }
  static BatchResult Updated() { return {.verdict = {Outcome::kUpdated, {}, {}}, .latency = 1ms}; }
  static BatchResult Transient() {
    return {.delivery = Delivery::kAnswered,
            .verdict = {Outcome::kFailed, FailureClass::kTransient, "busy"},
            .latency = 1ms};
  }

  static constexpr LeaseKey kKey{{1}, {2}};
  Time now_{1h};
  FakeNotes notes_;
  Engine engine_{EngineOptions{}, {.concurrency = 4, .attempts = 5, .retry_budget_percent = 100}};
};

TEST_F(SentNotesTest, TheNoteIsAlwaysAheadAndByLittle) {
  for (std::uint64_t sent = 1; sent <= 300; ++sent) {
    const auto dispatch = Next();
    ASSERT_TRUE(dispatch);
    EXPECT_GE(notes_.bounds.at(kKey), 100 + sent);
    EXPECT_LT(notes_.bounds.at(kKey), 100 + sent + 64);
    Finish(*dispatch, Updated());
  }
  EXPECT_LE(notes_.writes, 5);
}

TEST_F(SentNotesTest, ARecordThatIsSentAgainNeedsNoOther) {
  Finish(*Next(), Transient());
  const std::uint64_t noted = notes_.bounds.at(kKey);
  for (int i = 0; i < 20; ++i) {
    now_ += 30s;
    engine_.clock().Extend(kKey, engine_.clock().OnSend(now_), now_);
    const auto again = Next();
    ASSERT_TRUE(again);
    Finish(*again, Updated());
  }
  EXPECT_EQ(notes_.bounds.at(kKey), noted);
}

TEST_F(SentNotesTest, NothingIsSentThatCannotBeNoted) {
  notes_.broken = true;
  EXPECT_FALSE(Next());
  EXPECT_LE(engine_.wake_at(), now_ + 1s);
  notes_.broken = false;
  EXPECT_TRUE(Next());
}

TEST_F(SentNotesTest, ALostLeaseKeepsItsNoteAndADurableOneDoesNot) {
  EXPECT_TRUE(Next());
  engine_.DropLease(kKey);
  EXPECT_EQ(notes_.bounds.size(), 1u);
  engine_.OnDurable(kKey);
  EXPECT_TRUE(notes_.bounds.empty());
}

}  // namespace
}  // namespace backfill::worker
