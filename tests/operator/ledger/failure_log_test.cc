#include "operator/ledger/failure_log.h"

#include <gmock/gmock.h>
#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "backfill/v1/ledger.pb.h"
#include "operator/ledger/frame.h"

namespace backfill::ledger {
namespace {

constexpr Epoch kEpoch{2};
constexpr ShardId kShard{7};

FailedRecord Failed(Position position, std::uint32_t attempt = 1, ShardId shard = kShard) {
  return {.shard = shard,
          .attempt = {attempt},
          .position = position,
          .key = std::to_string(position),
          .failure_class = FailureClass::kPermanent,
          .attempts = 5,
          .message = "422"};
}

std::vector<Position> StandingPositions(const FailureLog& log) {
  std::vector<Position> positions;
  for (const FailedRecord& r : log.Standing()) positions.push_back(r.position);
  return positions;
}

std::vector<std::string> AllPages(FailureLog& log, int pages) {
  std::vector<std::string> data;
  for (int i = 0; i < pages; ++i) data.push_back(log.EncodePage(i, kEpoch).data);
  return data;
}

using testing::ElementsAre;
using testing::IsEmpty;

TEST(FailureLogTest, KeepsRecordsInOrderOfShardAndPosition) {
  FailureLog log;
  log.Append(Failed(30));
  log.Append(Failed(10));
  log.Append(Failed(20, 1, {3}));
  EXPECT_THAT(log.Standing(), ElementsAre(Failed(20, 1, {3}), Failed(10), Failed(30)));
}

TEST(FailureLogTest, TakesARepeatedRecordOnce) {
  FailureLog log;
  log.Append(Failed(10));
  FailureLog back = FailureLog::FromPages(AllPages(log, 1)).value();
  back.Append(Failed(10));
  EXPECT_THAT(back.DirtyPages(), IsEmpty());
  EXPECT_THAT(StandingPositions(back), ElementsAre(10));
}

TEST(FailureLogTest, CountsOnceWhatADeposedLeadersLastPageRepeats) {
  FailureLog successor;
  successor.Append(Failed(10));
  FailureLog deposed;  // had accepted more before, so its page comes behind
  for (Position p = 0; p < 200; ++p) deposed.Append(Failed(p, 1, {3}));
  deposed.Append(Failed(10));
  deposed.Append(Failed(11));
  const std::vector<std::string> pages = {AllPages(successor, 1)[0], AllPages(deposed, 2)[1]};
  FailureLog back = FailureLog::FromPages(pages).value();
  EXPECT_THAT(StandingPositions(back), ElementsAre(10, 11));
  back.Append(Failed(12));
  EXPECT_THAT(
      StandingPositions(FailureLog::FromPages({pages[0], back.EncodePage(1, kEpoch).data}).value()),
      ElementsAre(10, 11, 12));
}

TEST(FailureLogTest, KnowsWhatIsListedAndNotCountedYet) {
  FailureLog log;
  for (const Position p : {5, 20, 21, 30}) log.Append(Failed(p));
  log.Append(Failed(40, 2));
  Shard shard;
  shard.id = kShard;
  shard.attempt = {1};
  EXPECT_EQ(log.Uncounted(shard), 4u);
  shard.cursor = 20;
  shard.done_above = "\x02";
  EXPECT_EQ(log.Uncounted(shard), 2u);
  shard.attempt = {3};
  EXPECT_EQ(log.Uncounted(shard), 0u);
}

TEST(FailureLogTest, FillsPagesOfTwoHundredEntries) {
  FailureLog log;
  for (int i = 0; i < 201; ++i) log.Append(Failed(i));
  EXPECT_THAT(log.DirtyPages(), ElementsAre(0, 1));
  const ChunkImage first = log.EncodePage(0, kEpoch);
  EXPECT_EQ(first.chunk, 0);
  EXPECT_EQ(first.sequence, 1U);
  EXPECT_THAT(log.DirtyPages(), ElementsAre(1));
  log.EncodePage(1, kEpoch);
  log.Append(Failed(500));
  EXPECT_THAT(log.DirtyPages(), ElementsAre(1));
  EXPECT_EQ(log.EncodePage(1, kEpoch).sequence, 2U);
}

TEST(FailureLogTest, ForgetsWhatWillBeDoneAgain) {
  FailureLog log;
  for (const Position p : {5, 10, 11, 12}) log.Append(Failed(p));
  log.Supersede(kShard, {2}, 10, "\x02");  // before 10, and 11
  EXPECT_THAT(StandingPositions(log), ElementsAre(5, 11));
  log.Append(Failed(12, 2));
  EXPECT_THAT(StandingPositions(log), ElementsAre(5, 11, 12));
}

TEST(FailureLogTest, ForgetsOnlyRecordsOfThatShard) {
  FailureLog log;
  log.Append(Failed(10));
  log.Append(Failed(10, 1, {8}));
  log.Supersede(kShard, {2}, 0, "");
  EXPECT_THAT(log.Standing(), ElementsAre(Failed(10, 1, {8})));
}

TEST(FailureLogTest, DropsWhatComesLateFromAnEarlierAttempt) {
  FailureLog log;
  log.Supersede(kShard, {2}, 0, "");
  log.Append(Failed(10, 1));
  EXPECT_THAT(log.Standing(), IsEmpty());
}

// A deposed leader's last page may arrive after its successor has read the pages. The successor's
// cut has to collide with it, so it is written even if there is nothing to cut yet.
TEST(FailureLogTest, WritesACutEvenWhenNothingIsRecorded) {
  FailureLog log;
  log.Supersede(kShard, {2}, 0, "");
  EXPECT_THAT(log.DirtyPages(), ElementsAre(0));
}

// A leader cuts at 50, dies before the ledger has the attempt; its successor knows only what was
// durable: 30.
TEST(FailureLogTest, CutsAgainFromWhatWasDurable) {
  FailureLog log;
  log.Append(Failed(20));
  log.Append(Failed(40));
  log.Supersede(kShard, {2}, 50, "");
  EXPECT_THAT(StandingPositions(log), ElementsAre(20, 40));
  FailureLog successor = FailureLog::FromPages(AllPages(log, 1)).value();
  successor.Supersede(kShard, {2}, 30, "");
  EXPECT_THAT(StandingPositions(successor), ElementsAre(20));
}

TEST(FailureLogTest, CutsTextsToWholeCharacters) {
  FailureLog log;
  FailedRecord r = Failed(1);
  r.key = std::string(255, 'k') + "\xC3\xA9";  // é would be bytes 255 and 256
  r.message = "bad \xFF byte, \xED\xA0\x80 surrogate";
  log.Append(r);
  const FailureLog back = FailureLog::FromPages(AllPages(log, 1)).value();
  EXPECT_EQ(back.Standing()[0].key, std::string(255, 'k'));
  EXPECT_EQ(back.Standing()[0].message, "bad ? byte, ??? surrogate");
}

TEST(FailureLogTest, NamesItsClasses) {
  EXPECT_EQ(ToString(FailureClass::kTransient), "transient");
  EXPECT_EQ(ToString(FailureClass::kPermanent), "permanent");
  EXPECT_EQ(ToString(FailureClass::kTimeout), "timeout");
  EXPECT_EQ(ToString(FailureClass::kConflict), "conflict");
}

std::string ToHex(std::string_view bytes) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    out += kHex[static_cast<unsigned char>(c) >> 4];
    out += kHex[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

// What is in stores out there: a change here is a change of format, and needs a new codec number.
TEST(FailureLogTest, WritesTheSameBytesAsEver) {
  FailureLog log;
  log.Append(Failed(-3));
  log.Supersede(kShard, {2}, 10, "\x02");
  EXPECT_EQ(ToHex(log.EncodePage(0, kEpoch).data),
            "0801100218012a15080710011a0f080512022d33180220052a033432322a0b0807100222050814120102"
            "fd01c7a2d644");
}

std::string ErrorOf(const std::vector<std::string>& pages) {
  const auto log = FailureLog::FromPages(pages);
  if (log.ok()) return "it loads";
  EXPECT_EQ(log.error().code, ErrorCode::kInvalid);
  return log.error().message;
}

template <typename Change>
std::string Forged(Change change) {
  FailureLog log;
  log.Append(Failed(1));
  const std::string sealed = log.EncodePage(0, kEpoch).data;
  v1::FailurePage m;
  m.ParseFromString(std::string(Unseal(sealed).value()));
  change(m);
  return Seal(m.SerializeAsString());
}

using Message = v1::FailurePage;

TEST(FailureLogTest, SaysWhatIsWrongWithAPage) {
  EXPECT_EQ(ErrorOf({"x"}), "failure page 0: cut short");
  EXPECT_EQ(ErrorOf({Seal("\xFF")}), "failure page 0: cannot be parsed");
  const std::string good = Forged([](Message&) {});
  EXPECT_EQ(ErrorOf({good}), "it loads");
  EXPECT_EQ(ErrorOf({good, good}), "failure page 1: holds another page");
  EXPECT_EQ(ErrorOf({Forged([](Message& m) { m.set_codec(2); })}),
            "failure page 0: codec 2 is not known to this version");
  EXPECT_EQ(ErrorOf({Forged([](Message& m) { m.add_entries(); })}),
            "failure page 0: an entry of unknown kind");
  EXPECT_EQ(ErrorOf({Forged([](Message& m) {
              for (int i = 0; i < 200; ++i) *m.add_entries() = m.entries(0);
            })}),
            "failure page 0: too many entries");
  EXPECT_EQ(ErrorOf({Forged([](Message& m) {
              m.add_entries()->mutable_superseded()->set_done_above(std::string(1025, 'x'));
            })}),
            "failure page 0: a bitmap that is too long");
}

TEST(FailureLogTest, ReadsTheClassOfANewerVersionAsPermanent) {
  const std::string page = Forged([](Message& m) {
    m.mutable_entries(0)->mutable_failure()->set_class_(static_cast<v1::FailureClass>(9));
  });
  EXPECT_EQ(FailureLog::FromPages({page})->Standing()[0].failure_class, FailureClass::kPermanent);
}

RC_GTEST_PROP(FailureLogProperty, SurvivesRandomBytes, (const std::string& bytes)) {
  RC_ASSERT(!FailureLog::FromPages({bytes}).ok());
  const auto forged = FailureLog::FromPages({Seal(bytes)});
  if (forged.ok()) (void)forged->Standing();
}

RC_GTEST_PROP(FailureLogProperty, SurvivesForgedContents, ()) {
  const google::protobuf::LogSilencer silence;  // of complaints about UTF-8
  FailureLog log;
  log.Append(Failed(1));
  log.Supersede(kShard, {2}, 0, "\x01");
  const std::string sealed = log.EncodePage(0, kEpoch).data;
  std::string message(Unseal(sealed).value());
  for (int i = *rc::gen::inRange(1, 5); i > 0; --i) {
    message[*rc::gen::inRange<std::size_t>(0, message.size())] = *rc::gen::arbitrary<char>();
  }
  const auto back = FailureLog::FromPages({Seal(message)});
  if (back.ok()) (void)back->Standing();
}

}  // namespace
}  // namespace backfill::ledger
