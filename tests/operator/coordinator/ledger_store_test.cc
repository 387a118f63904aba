#include "operator/coordinator/ledger_store.h"

#include "operator/coordinator/ledger_object.h"
#include "tests/fakes/memory_store.h"
#include "tests/fakes/store_levers.h"
#include "tests/operator/coordinator/plans.h"

namespace backfill::coordinator {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const Error kLost{ErrorCode::kUnavailable, "no answer"};

class LedgerStoreTest : public ::testing::Test {
 protected:
  // Encoded images of one chunk with rising sequence numbers.
  ledger::ChunkImage Next(int chunk, Epoch epoch) {
    ledger_.Touch(chunk);
    return ledger_.Encode(chunk, epoch);
  }
  void CreateTwoChunks() {
    LedgerStore creator(levers_, RunKey());
    ASSERT_TRUE(creator.Create(Images(plan_), Epoch{0}).ok());
  }
  static Status WriteChunk(LedgerStore& store, const ledger::ChunkImage& image, Epoch epoch,
                           kube::Durability durability) {
    return store.Write({{LedgerWrite::Kind::kChunk, image, durability}}, epoch).status;
  }
  static Status WritePage(LedgerStore& store, const ledger::ChunkImage& image, Epoch epoch) {
    return store.Write({{LedgerWrite::Kind::kPage, image, kube::Durability::kPower}}, epoch).status;
  }
  LedgerContent Stored(const std::string& name) {
    const auto object = memory_.Get({"BackfillLedger", "shop", name});
    EXPECT_TRUE(object.ok());
    return DecodeContent(object->content).value();
  }
  void Delete(const std::string& name) {
    ASSERT_TRUE(memory_.Delete({"BackfillLedger", "shop", name}, "").ok());
  }
  static ledger::ChunkImage Page(ledger::FailureLog& log, int position, Epoch epoch) {
    log.Append({.shard = {0}, .attempt = {1}, .position = position, .key = "k", .message = "m"});
    return log.EncodePage(0, epoch);
  }

  const plan::Plan plan_ = PlanOf(700, 10);
  ledger::Ledger ledger_ = ledger::Ledger::FromPlan(plan_);
  fakes::MemoryStore memory_;
  fakes::StoreLevers levers_{memory_};
};

TEST_F(LedgerStoreTest, NamesTellStageAndKind) {
  EXPECT_EQ(ChunkName(RunKey(), 7), "reprice-1a2b3c4d-0007");
  EXPECT_EQ(ChunkName(DryRunKey(), 7), "reprice-1a2b3c4d-d0007");
  EXPECT_EQ(PageName(RunKey(), 2), "reprice-1a2b3c4d-f000002");
  EXPECT_EQ(PageName(DryRunKey(), 2), "reprice-1a2b3c4d-e000002");
}

TEST_F(LedgerStoreTest, WhatWasCreatedIsLoadedInOrder) {
  CreateTwoChunks();
  LedgerStore store(levers_, RunKey());
  const auto chunks = store.LoadChunks();
  ASSERT_TRUE(chunks.ok()) << chunks.error().message;
  const auto ledger = ledger::Ledger::FromChunks(*chunks);
  ASSERT_TRUE(ledger.ok());
  EXPECT_EQ(ledger->plan_hash(), plan_.hash);
  EXPECT_EQ(ledger->totals().shards, 700);
}

TEST_F(LedgerStoreTest, ObjectsBelongToTheBackfillAndGoWithIt) {
  kube::Object backfill;
  backfill.ref = {"Backfill", "shop", "reprice"};
  backfill.content = "{}";
  backfill = memory_.Create(backfill, kube::Durability::kPower).value();
  reconcile::StageKey key = RunKey();
  key.uid = backfill.uid;
  LedgerStore store(levers_, key);
  ASSERT_TRUE(store.Create(Images(plan_), Epoch{0}).ok());
  ASSERT_TRUE(memory_.Delete(backfill.ref, backfill.uid).ok());
  EXPECT_EQ(store.LoadChunks().error().code, ErrorCode::kNotFound);
}

TEST_F(LedgerStoreTest, ThereIsNoLedgerBeforeItsFirstChunkIsStored) {
  levers_.FailNext(1, kLost);  // chunk 1 goes first
  LedgerStore first(levers_, RunKey());
  EXPECT_FALSE(first.Create(Images(plan_), Epoch{0}).ok());
  LedgerStore second(levers_, RunKey());
  EXPECT_EQ(second.LoadChunks().error().code, ErrorCode::kNotFound);
}

TEST_F(LedgerStoreTest, CreatesOverWhatAnInterruptedCreationLeft) {
  {
    LedgerStore interrupted(levers_, RunKey());
    ASSERT_TRUE(interrupted.Create(Images(PlanOf(600, 99, "other")), Epoch{0}).ok());
    Delete(ChunkName(RunKey(), 0));
  }
  CreateTwoChunks();
  LedgerStore store(levers_, RunKey());
  const auto ledger = ledger::Ledger::FromChunks(store.LoadChunks().value());
  ASSERT_TRUE(ledger.ok()) << ledger.error().message;
  EXPECT_EQ(ledger->plan_hash(), plan_.hash);
}

TEST_F(LedgerStoreTest, DoesNotCreateOverALedger) {
  CreateTwoChunks();
  LedgerStore store(levers_, RunKey());
  EXPECT_EQ(store.Create(Images(plan_), Epoch{0}).error().code, ErrorCode::kConflict);
}

TEST_F(LedgerStoreTest, AMissingChunkIsDamageAlsoAtTheEnd) {
  CreateTwoChunks();
  Delete(ChunkName(RunKey(), 1));
  LedgerStore store(levers_, RunKey());
  const auto chunks = store.LoadChunks();
  EXPECT_EQ(chunks.error().code, ErrorCode::kInternal);
  EXPECT_THAT(chunks.error().message, HasSubstr("reprice-1a2b3c4d-0001 is missing"));
}

TEST_F(LedgerStoreTest, ALedgerOfAnotherBackfillIsNotOurs) {
  CreateTwoChunks();
  reconcile::StageKey key = RunKey();
  key.uid = "1a2b3c4d-another";
  LedgerStore store(levers_, key);
  EXPECT_EQ(store.LoadChunks().error().code, ErrorCode::kInternal);
}

TEST_F(LedgerStoreTest, WritesOverItsOwnWrites) {
  CreateTwoChunks();
  LedgerStore store(levers_, RunKey());
  ASSERT_TRUE(store.LoadChunks().ok());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(WriteChunk(store, Next(1, Epoch{1}), Epoch{1}, kube::Durability::kProcess).ok());
  }
  EXPECT_EQ(Stored(ChunkName(RunKey(), 1)).sequence, 3u);
}

TEST_F(LedgerStoreTest, AWriteWhoseAnswerWasLostIsRecognised) {
  CreateTwoChunks();
  LedgerStore store(levers_, RunKey());
  ASSERT_TRUE(store.LoadChunks().ok());
  const ledger::ChunkImage image = Next(0, Epoch{1});
  levers_.FailAfterApply(1, kLost);
  EXPECT_EQ(WriteChunk(store, image, Epoch{1}, kube::Durability::kPower).error().code,
            ErrorCode::kUnavailable);
  EXPECT_TRUE(WriteChunk(store, image, Epoch{1}, kube::Durability::kPower).ok());
  EXPECT_TRUE(WriteChunk(store, Next(0, Epoch{1}), Epoch{1}, kube::Durability::kPower).ok());
}

TEST_F(LedgerStoreTest, ALaterImageReplacesOneWhoseAnswerWasLost) {
  CreateTwoChunks();
  LedgerStore store(levers_, RunKey());
  ASSERT_TRUE(store.LoadChunks().ok());
  levers_.FailAfterApply(1, kLost);
  EXPECT_FALSE(WriteChunk(store, Next(0, Epoch{1}), Epoch{1}, kube::Durability::kPower).ok());
  EXPECT_TRUE(WriteChunk(store, Next(0, Epoch{1}), Epoch{1}, kube::Durability::kPower).ok());
  EXPECT_EQ(Stored(ChunkName(RunKey(), 0)).sequence, 2u);
}

TEST_F(LedgerStoreTest, AnotherWriterOfTheSameEpochAndSequenceIsNotTakenForOurselves) {
  CreateTwoChunks();
  LedgerStore one(levers_, RunKey()), other(levers_, RunKey());
  ASSERT_TRUE(one.LoadChunks().ok());
  ASSERT_TRUE(other.LoadChunks().ok());
  const ledger::ChunkImage image = Next(0, Epoch{1});
  EXPECT_TRUE(WriteChunk(one, image, Epoch{1}, kube::Durability::kPower).ok());
  EXPECT_EQ(WriteChunk(other, image, Epoch{1}, kube::Durability::kPower).error().code,
            ErrorCode::kConflict);
}

TEST_F(LedgerStoreTest, ADeposedLeaderIsRefusedAndTheNewOneToldOfAPredecessor) {
  CreateTwoChunks();
  LedgerStore old(levers_, RunKey()), fresh(levers_, RunKey());
  ASSERT_TRUE(old.LoadChunks().ok());
  ASSERT_TRUE(fresh.LoadChunks().ok());
  const ledger::ChunkImage last_word = Next(1, Epoch{1});
  ASSERT_TRUE(WriteChunk(old, last_word, Epoch{1}, kube::Durability::kPower).ok());
  EXPECT_EQ(WriteChunk(fresh, Next(1, Epoch{2}), Epoch{2}, kube::Durability::kPower).error().code,
            ErrorCode::kExpired);
  ASSERT_TRUE(fresh.LoadChunks().ok());
  ASSERT_TRUE(WriteChunk(fresh, Next(1, Epoch{2}), Epoch{2}, kube::Durability::kPower).ok());
  EXPECT_EQ(WriteChunk(old, last_word, Epoch{1}, kube::Durability::kPower).error().code,
            ErrorCode::kConflict);
  EXPECT_EQ(Stored(ChunkName(RunKey(), 1)).epoch, Epoch{2});
}

TEST_F(LedgerStoreTest, AWriteToADeletedLedgerIsAConflict) {
  CreateTwoChunks();
  LedgerStore store(levers_, RunKey());
  ASSERT_TRUE(store.LoadChunks().ok());
  Delete(ChunkName(RunKey(), 0));
  EXPECT_EQ(WriteChunk(store, Next(0, Epoch{1}), Epoch{1}, kube::Durability::kPower).error().code,
            ErrorCode::kConflict);
}

TEST_F(LedgerStoreTest, ALatePageOfAPredecessorIsReplaced) {
  LedgerStore old(levers_, RunKey()), fresh(levers_, RunKey());
  ledger::FailureLog old_log, fresh_log;
  ASSERT_TRUE(fresh.LoadPages().ok());
  ASSERT_TRUE(WritePage(old, Page(old_log, 1, Epoch{1}), Epoch{1}).ok());
  ASSERT_TRUE(WritePage(fresh, Page(fresh_log, 2, Epoch{2}), Epoch{2}).ok());
  EXPECT_EQ(WritePage(old, Page(old_log, 3, Epoch{1}), Epoch{1}).error().code,
            ErrorCode::kConflict);
  const auto failures = ReadFailures(memory_, RunKey());
  ASSERT_TRUE(failures.ok());
  ASSERT_EQ(failures->size(), 1u);
  EXPECT_EQ(failures->front().position, 2);
}

TEST_F(LedgerStoreTest, ABatchStopsAtTheFirstFailure) {
  CreateTwoChunks();
  LedgerStore store(levers_, RunKey());
  ASSERT_TRUE(store.LoadChunks().ok());
  ledger::FailureLog log;
  const std::vector<LedgerWrite> batch = {
      {LedgerWrite::Kind::kPage, Page(log, 1, Epoch{1}), kube::Durability::kPower},
      {LedgerWrite::Kind::kChunk, Next(0, Epoch{1}), kube::Durability::kPower},
      {LedgerWrite::Kind::kChunk, Next(1, Epoch{1}), kube::Durability::kPower}};
  levers_.ForgetWrites();
  Delete(ChunkName(RunKey(), 0));
  const WriteOutcome outcome = store.Write(batch, Epoch{1});
  EXPECT_EQ(outcome.written, 1u);
  EXPECT_EQ(outcome.status.error().code, ErrorCode::kConflict);
  EXPECT_EQ(levers_.Writes(), 1);
}

// Pages are still before the chunks that count their failures, and what is confirmed is a prefix.
TEST_F(LedgerStoreTest, ManyCallsAtOnceComeToTheSame) {
  const plan::Plan plan = PlanOf(6'000, 10);
  LedgerStore store(levers_, RunKey(), 4);
  ASSERT_TRUE(store.Create(Images(plan), Epoch{0}).ok());
  LedgerStore taking(levers_, RunKey(), 4);
  const auto chunks = taking.LoadChunks();
  ASSERT_TRUE(chunks.ok()) << chunks.error().message;
  EXPECT_EQ(ledger::Ledger::FromChunks(*chunks)->plan_hash(), plan.hash);

  ledger::Ledger ledger = ledger::Ledger::FromPlan(plan);
  ledger::FailureLog log;
  std::vector<LedgerWrite> batch = {
      {LedgerWrite::Kind::kPage, Page(log, 1, Epoch{1}), kube::Durability::kPower}};
  for (int chunk = 0; chunk < ledger.chunks(); ++chunk) {
    ledger.Touch(chunk);
    batch.push_back({.image = ledger.Encode(chunk, Epoch{1})});
  }
  EXPECT_EQ(taking.Write(batch, Epoch{1}).written, 13u);
  for (int chunk = 0; chunk < 12; ++chunk)
    EXPECT_EQ(Stored(ChunkName(RunKey(), chunk)).epoch, Epoch{1});
  LedgerStore reader(levers_, RunKey(), 4);
  ASSERT_TRUE(reader.LoadChunks().ok());
  EXPECT_EQ(reader.LoadPages()->size(), 1u);

  Delete(ChunkName(RunKey(), 5));
  for (int chunk = 0; chunk < ledger.chunks(); ++chunk) {
    ledger.Touch(chunk);
    batch[static_cast<std::size_t>(chunk) + 1].image = ledger.Encode(chunk, Epoch{1});
  }
  const WriteOutcome outcome = taking.Write(batch, Epoch{1});
  EXPECT_EQ(outcome.written, 6u) << "the page, and chunks 0 to 4";
  EXPECT_EQ(outcome.status.error().code, ErrorCode::kConflict);
}

TEST_F(LedgerStoreTest, WithManyCallsAtOnceAMissingChunkIsDamageToo) {
  LedgerStore store(levers_, RunKey(), 4);
  ASSERT_TRUE(store.Create(Images(PlanOf(6'000, 10)), Epoch{0}).ok());
  Delete(ChunkName(RunKey(), 11));
  EXPECT_EQ(store.LoadChunks().error().code, ErrorCode::kInternal);
}

TEST_F(LedgerStoreTest, OnlyTheFirstChunkMakesALedger) {
  LedgerStore store(levers_, RunKey(), 4);
  levers_.FailNext(1, kLost);
  ASSERT_FALSE(store.Create(Images(PlanOf(6'000, 10)), Epoch{0}).ok());
  EXPECT_EQ(LedgerStore(levers_, RunKey()).LoadChunks().error().code, ErrorCode::kNotFound);
}

TEST_F(LedgerStoreTest, ReadersSeeFailuresOfTheirStageOnly) {
  LedgerStore run(levers_, RunKey()), dry_run(levers_, DryRunKey());
  ledger::FailureLog log;
  ASSERT_TRUE(WritePage(run, Page(log, 5, Epoch{1}), Epoch{1}).ok());
  EXPECT_EQ(ReadFailures(memory_, RunKey())->size(), 1u);
  EXPECT_TRUE(ReadFailures(memory_, DryRunKey())->empty());
}

TEST_F(LedgerStoreTest, ReadersSeeTheShards) {
  CreateTwoChunks();
  const auto shards = ReadShards(memory_, RunKey());
  ASSERT_TRUE(shards.ok());
  ASSERT_EQ(shards->size(), 700u);
  EXPECT_EQ((*shards)[699].range, (Range{6990, 7000}));
  EXPECT_EQ(ReadShards(memory_, DryRunKey()).error().code, ErrorCode::kNotFound);
}

TEST_F(LedgerStoreTest, DamagedTextIsReportedWithItsName) {
  CreateTwoChunks();
  kube::Object object = memory_.Get({"BackfillLedger", "shop", ChunkName(RunKey(), 1)}).value();
  object.content = R"({"epoch":1,"seq":1,"chunks":2,"writer":"x","data":"AAAA"})";
  ASSERT_TRUE(memory_.Update(object, kube::Durability::kPower).ok());
  EXPECT_EQ(ReadShards(memory_, RunKey()).error().code, ErrorCode::kInternal);
  object = memory_.Get(object.ref).value();
  object.content = R"({"data":1})";
  ASSERT_TRUE(memory_.Update(object, kube::Durability::kPower).ok());
  EXPECT_THAT(ReadShards(memory_, RunKey()).error().message, HasSubstr("reprice-1a2b3c4d-0001"));
}

}  // namespace
}  // namespace backfill::coordinator
