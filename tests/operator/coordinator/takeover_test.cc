#include "operator/coordinator/takeover.h"

#include "operator/coordinator/ledger_object.h"
#include "tests/fakes/memory_store.h"
#include "tests/operator/coordinator/plans.h"

namespace backfill::coordinator {
namespace {

// Lets a predecessor write at the worst moment: right before our n-th write.
class WithPredecessor final : public kube::ObjectStore {
 public:
  WithPredecessor(
      kube::ObjectStore& inner, std::function<void(int)> before_write,
      std::function<void()> before_read = [] {})
      : inner_(inner),
        before_write_(std::move(before_write)),
        before_read_(std::move(before_read)) {}
  Result<kube::Object> Get(const kube::ObjectRef& ref) override {
    before_read_();
    return inner_.Get(ref);
  }
  Result<std::vector<kube::Object>> List(std::string_view kind, std::string_view ns) override {
    return inner_.List(kind, ns);
  }
  Result<kube::Object> Create(const kube::Object& object, kube::Durability d) override {
    return inner_.Create(object, d);
  }
  Result<kube::Object> Update(const kube::Object& object, kube::Durability d) override {
    before_write_(++writes_);
    return inner_.Update(object, d);
  }
  Result<kube::Object> UpdateStatus(const kube::Object& object, kube::Durability d) override {
    return inner_.UpdateStatus(object, d);
  }
  Status Delete(const kube::ObjectRef& ref, std::string_view uid) override {
    return inner_.Delete(ref, uid);
  }
  Result<std::uint64_t> WaitForChange(std::uint64_t seen, Time t, std::stop_token stop) override {
    return inner_.WaitForChange(seen, t, std::move(stop));
  }

 private:
  kube::ObjectStore& inner_;
  const std::function<void(int)> before_write_;
  const std::function<void()> before_read_;
  int writes_ = 0;
};

class TakeOverTest : public ::testing::Test {
 protected:
  void SetUp() override {
    LedgerStore creator(memory_, RunKey());
    ASSERT_TRUE(creator.Create(Images(PlanOf(700, 10)), Epoch{0}).ok());
  }
  Epoch StoredEpoch(int chunk) {
    const auto object = memory_.Get({"BackfillLedger", "shop", ChunkName(RunKey(), chunk)});
    return DecodeContent(object->content)->epoch;
  }
  fakes::MemoryStore memory_;
};

TEST_F(TakeOverTest, StampsAHigherEpochIntoEveryChunk) {
  for (std::uint64_t epoch = 1; epoch <= 3; ++epoch) {
    LedgerStore store(memory_, RunKey());
    const auto taken = TakeOver(store);
    ASSERT_TRUE(taken.ok()) << taken.error().message;
    EXPECT_EQ(taken->epoch, Epoch{epoch});
    EXPECT_EQ(StoredEpoch(0), Epoch{epoch});
    EXPECT_EQ(StoredEpoch(1), Epoch{epoch});
  }
}

TEST_F(TakeOverTest, LoadsThePredecessorsLastWordAndStampsAgain) {
  LedgerStore old(memory_, RunKey());
  auto before = TakeOver(old);
  ASSERT_TRUE(before.ok());
  WithPredecessor racing(memory_, [&](int write) {
    if (write != 2) return;  // our chunk 0 is stamped, chunk 1 is not yet
    ledger::Shard shard = *before->ledger.Find({1000});
    shard.state = ledger::ShardState::kInFlight;
    shard.attempt = {1};
    shard.epoch = before->epoch;
    shard.holder = "run-0/x";
    before->ledger.Update(shard);
    ASSERT_TRUE(
        old.Write({{.image = before->ledger.Encode(1, before->epoch)}}, before->epoch).status.ok());
  });
  LedgerStore store(racing, RunKey());
  const auto taken = TakeOver(store);
  ASSERT_TRUE(taken.ok()) << taken.error().message;
  EXPECT_GT(taken->epoch, before->epoch);
  EXPECT_EQ(taken->ledger.Find({1000})->holder, "run-0/x");
}

TEST_F(TakeOverTest, FailuresThatAPredecessorCountedWhileWeStampedAreLoaded) {
  LedgerStore old(memory_, RunKey());
  auto before = TakeOver(old);
  ASSERT_TRUE(before.ok());
  WithPredecessor racing(memory_, [&](int write) {
    if (write != 1) return;
    before->failures.Append(
        {.shard = {0}, .attempt = {1}, .position = 4, .key = "4", .message = "no"});
    ASSERT_TRUE(old.Write({{.kind = LedgerWrite::Kind::kPage,
                            .image = before->failures.EncodePage(0, before->epoch)}},
                          before->epoch)
                    .status.ok());
  });
  LedgerStore store(racing, RunKey());
  const auto taken = TakeOver(store);
  ASSERT_TRUE(taken.ok()) << taken.error().message;
  EXPECT_EQ(taken->failures.Standing().size(), 1u);
}

// A new leader reads a ledger to decide whether it is to be opened.
TEST_F(TakeOverTest, WhatWasJustReadIsNotReadAgain) {
  int reads = 0;
  WithPredecessor counting(memory_, [](int) {}, [&reads] { ++reads; });
  LedgerStore store(counting, RunKey());
  auto loaded = LoadLedger(store);
  ASSERT_TRUE(loaded.ok());
  reads = 0;
  const auto taken = TakeOver(store, std::move(*loaded));
  ASSERT_TRUE(taken.ok()) << taken.error().message;
  EXPECT_EQ(reads, 1) << "the first page of failures, which is not there";
  EXPECT_EQ(StoredEpoch(1), taken->epoch);
}

TEST_F(TakeOverTest, WhatHasChangedSinceItWasReadIsReadAgain) {
  LedgerStore old(memory_, RunKey());
  auto before = TakeOver(old);
  ASSERT_TRUE(before.ok());
  LedgerStore store(memory_, RunKey());
  auto loaded = LoadLedger(store);
  ASSERT_TRUE(loaded.ok());
  ledger::Shard shard = *before->ledger.Find({1000});
  shard.state = ledger::ShardState::kInFlight;
  shard.attempt = {1};
  shard.epoch = before->epoch;
  shard.holder = "run-0/x";
  before->ledger.Update(shard);
  ASSERT_TRUE(
      old.Write({{.image = before->ledger.Encode(1, before->epoch)}}, before->epoch).status.ok());
  const auto taken = TakeOver(store, std::move(*loaded));
  ASSERT_TRUE(taken.ok()) << taken.error().message;
  EXPECT_EQ(taken->ledger.Find({1000})->holder, "run-0/x");
}

TEST_F(TakeOverTest, GivesUpAgainstALeaderWithAHigherEpoch) {
  LedgerStore other(memory_, RunKey());
  WithPredecessor racing(memory_, [&](int write) {
    if (write != 2) return;
    ASSERT_TRUE(TakeOver(other).ok());
  });
  LedgerStore store(racing, RunKey());
  const auto taken = TakeOver(store);
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().code, ErrorCode::kConflict);
}

TEST_F(TakeOverTest, WhereThereIsNoLedgerThereIsNothingToTakeOver) {
  LedgerStore store(memory_, DryRunKey());
  EXPECT_EQ(TakeOver(store).error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace backfill::coordinator
