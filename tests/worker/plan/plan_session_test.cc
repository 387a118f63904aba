#include "worker/plan/plan_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace backfill::worker {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using Body = v1::WorkerMessage;

plan::FoundSource FoundShards(std::size_t count) {
  plan::FoundSource found;
  for (std::size_t i = 0; i < count; ++i) {
    const auto first = static_cast<Position>(i * 1'000'000);
    found.shards.push_back({.range = {first, first + 1'000'000},
                            .records = 1'000'000,
                            .extent = rows::Extent{.first = first,
                                                   .records = 1'000'000,
                                                   .offset = i * 4'000'000,
                                                   .bytes = 4'000'000,
                                                   .line = 1 + i * 1'000'000,
                                                   .crc32c = 0xffffffff}});
  }
  found.facts.bytes = count * 4'000'000;
  return found;
}

class PlanSessionTest : public testing::Test, public PlanSession::Host {
 protected:
  bool Send(std::uint64_t stream, v1::WorkerMessage message) override {
    if (broken_) return false;
    EXPECT_EQ(stream, stream_);
    sent_.push_back(std::move(message));
    return true;
  }
  Status OnWorkload(const v1::Workload& workload) override {
    ++begun_;
    if (refuse_) return Error{ErrorCode::kInvalid, "cannot"};
    path_ = workload.source().file().path();
    return Ok{};
  }

  void Connect() {
    session_.OnConnected(++stream_, now_);
    sent_.clear();
  }
  void Welcomed(const std::string& path = "/data/a.csv") {
    v1::CoordinatorMessage m;
    m.mutable_welcome()->set_protocol_version(1);
    m.mutable_welcome()->mutable_workload()->mutable_plan();
    m.mutable_welcome()->mutable_workload()->mutable_source()->mutable_file()->set_path(path);
    m.mutable_welcome()->mutable_limits()->set_report_period_ms(1000);
    session_.OnMessage(stream_, m, now_);
  }
  void Lost(ErrorCode code = ErrorCode::kUnavailable) {
    session_.OnDisconnected(stream_, {code, "gone"}, now_);
  }
  void Tick(Duration later = 0s) {
    now_ += later;
    session_.Tick({.bytes_read = 10, .bytes_total = 100, .records = 3}, now_);
  }
  std::vector<Body::BodyCase> Sent() {
    std::vector<Body::BodyCase> bodies;
    for (const Body& m : sent_) bodies.push_back(m.body_case());
    sent_.clear();
    return bodies;
  }

  Time now_{1h};
  std::uint64_t stream_ = 0;
  bool broken_ = false, refuse_ = false;
  int begun_ = 0;
  std::string path_;
  std::vector<Body> sent_;
  PlanSession session_{{.uid = "u", .stage = "plan", .worker = "plan-0", .instance = "i"}, *this};
};

TEST_F(PlanSessionTest, SaysWhoItIsAndReadsWhatItIsTold) {
  session_.OnConnected(++stream_, now_);
  ASSERT_THAT(sent_, SizeIs(1));
  EXPECT_EQ(sent_[0].hello().stage(), "plan");
  EXPECT_EQ(sent_[0].hello().worker(), "plan-0");
  EXPECT_EQ(sent_[0].sequence(), 1u);
  Welcomed();
  EXPECT_EQ(path_, "/data/a.csv");
}

TEST_F(PlanSessionTest, SaysHowFarItIsOnceAPeriod) {
  Connect();
  Tick();
  EXPECT_THAT(sent_, IsEmpty()) << "not before the Welcome";
  Welcomed();
  Tick();
  ASSERT_THAT(sent_, SizeIs(1));
  EXPECT_EQ(sent_[0].plan_progress().bytes_total(), 100u);
  EXPECT_EQ(sent_[0].sequence(), 2u);
  Tick(999ms);
  EXPECT_THAT(sent_, SizeIs(1));
  Tick(1ms);
  EXPECT_THAT(sent_, SizeIs(2));
}

TEST_F(PlanSessionTest, SaysWhatItFoundOnceAStream) {
  Connect();
  Welcomed();
  session_.SetFound(FoundShards(2));
  Tick();
  EXPECT_THAT(Sent(), testing::ElementsAre(Body::kPlanProgress, Body::kPlanPart, Body::kPlanEnd));
  Tick(1s);
  EXPECT_THAT(Sent(), testing::ElementsAre(Body::kPlanProgress)) << "a sign of life";
  EXPECT_FALSE(session_.ended()) << "it waits to be ended";
  Lost();
  Connect();
  Tick();
  EXPECT_THAT(sent_, IsEmpty());
  Welcomed();
  Tick();
  EXPECT_THAT(Sent(), testing::ElementsAre(Body::kPlanProgress, Body::kPlanPart, Body::kPlanEnd))
      << "the coordinator may be another one";
  EXPECT_EQ(begun_, 1) << "it has read once";
}

TEST_F(PlanSessionTest, AStreamThatBreaksWhileItTellsIsFollowedByTheWhole) {
  Connect();
  Welcomed();
  session_.SetFound(FoundShards(1));
  broken_ = true;
  Tick();
  broken_ = false;
  Lost();
  Connect();
  Welcomed();
  Tick();
  EXPECT_THAT(Sent(), testing::ElementsAre(Body::kPlanProgress, Body::kPlanPart, Body::kPlanEnd));
}

TEST_F(PlanSessionTest, SaysWhyItCannot) {
  Connect();
  Welcomed();
  session_.SetFound(Error{ErrorCode::kNotFound, "/data/a.csv: no such file"});
  Tick();
  ASSERT_THAT(sent_, SizeIs(2));
  EXPECT_EQ(sent_[1].plan_failure().kind(), v1::PlanFailure::KIND_UNAVAILABLE);
  EXPECT_EQ(sent_[1].plan_failure().message(), "/data/a.csv: no such file");
}

TEST_F(PlanSessionTest, AnotherSourceThanTheOneItReadsIsReadByAnotherProcess) {
  Connect();
  Welcomed();
  Lost();
  Connect();
  Welcomed("/data/b.csv");
  EXPECT_EQ(session_.ended(), SessionEnd::kOutOfStep);
  EXPECT_EQ(begun_, 1);
}

TEST_F(PlanSessionTest, WhatItCannotReadNoRestartHeals) {
  refuse_ = true;
  Connect();
  Welcomed();
  EXPECT_EQ(session_.ended(), SessionEnd::kBadWorkload);
}

TEST_F(PlanSessionTest, SigtermEndsItAtOnce) {
  session_.Drain(now_);
  EXPECT_EQ(session_.ended(), SessionEnd::kDrained);
}

TEST_F(PlanSessionTest, EndsWhenItsIdentityIsRefusedForFiveMinutes) {
  Connect();
  Lost(ErrorCode::kPermission);
  now_ += 299s;
  Lost(ErrorCode::kPermission);
  EXPECT_FALSE(session_.ended());
  now_ += 1s;
  Lost(ErrorCode::kPermission);
  EXPECT_EQ(session_.ended(), SessionEnd::kRefused);
}

TEST(PlanMessagesTest, NoMessageIsLargerThanTheCoordinatorTakes) {
  plan::FoundSource found = FoundShards(100'000);
  found.facts.shape.columns.assign(64, std::string(1'000, 'c'));
  found.facts.bad_samples.assign(12, std::string(5'000, 's'));
  const auto messages = MessagesOf(found);
  EXPECT_THAT(messages, SizeIs(21));
  std::uint64_t shards = 0;
  for (const v1::WorkerMessage& m : messages) {
    EXPECT_LT(m.ByteSizeLong(), std::size_t{1} << 19);
    if (!m.has_plan_part()) continue;
    EXPECT_EQ(m.plan_part().first(), shards);
    shards += static_cast<std::uint64_t>(m.plan_part().shards_size());
  }
  EXPECT_EQ(shards, 100'000u);
  EXPECT_EQ(messages.back().plan_end().bad_samples_size(), 10);
  EXPECT_LE(messages.back().plan_end().bad_samples(0).size(), 1'024u);
}

// protobuf takes no string that is not UTF-8, and a stream would break on it for ever.
TEST(PlanMessagesTest, RowsThatAreNoTextAreSaidAsText) {
  plan::FoundSource found = FoundShards(1);
  found.facts.bad_samples = {"line 3: \xff\xfe is no UTF-8"};
  v1::WorkerMessage again;
  ASSERT_TRUE(again.ParseFromString(MessagesOf(found).back().SerializeAsString()));
  EXPECT_THAT(again.plan_end().bad_samples(0), HasSubstr("is no UTF-8"));
  EXPECT_TRUE(again.ParseFromString(
      MessagesOf(Error{ErrorCode::kInvalid, "\xff"}).back().SerializeAsString()));
}

TEST(PlanMessagesTest, AnEmptyFileIsAnEndWithoutParts) {
  EXPECT_THAT(MessagesOf(plan::FoundSource{}), SizeIs(1));
}

}  // namespace
}  // namespace backfill::worker
