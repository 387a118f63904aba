#include "operator/observe/observer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "tests/fakes/manual_clock.h"
#include "tests/operator/observe/fake_sources.h"

namespace backfill::observe {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::IsEmpty;
using throttle::Answer;
using throttle::Observation;

Wanted Metric(const std::string& query, Duration interval = 10s,
              const std::string& server = "http://p") {
  return {.query = PrometheusQuery{.addresses = {server}, .query = query}, .interval = interval};
}

class ObserverTest : public testing::Test {
 protected:
  ObserverTest() {
    listener_ = clock_.Listen([this] { observer_.Wake(); });
  }
  ~ObserverTest() override {
    clock_.Forget(listener_);
    observer_.Stop();
  }

  // Until so many answers have come. False: not in time.
  bool AwaitAnswers(int answers) {
    MutexLock l(mu_);
    return changed_.wait_for(mu_, 10s, [&]() REQUIRES(mu_) { return answers_ >= answers; });
  }
  Observation Latest(const std::string& owner, std::size_t at = 0) {
    const auto latest = observer_.Latest(owner);
    return at < latest.size() ? latest[at] : Observation{.detail = "nothing is wanted"};
  }

  Mutex mu_;
  std::condition_variable_any changed_;
  int answers_ GUARDED_BY(mu_) = 0;

  fakes::ManualClock clock_;
  FakeSources sources_{clock_};
  Observer observer_{sources_,
                     clock_,
                     {.polling = {.max_in_flight = 3, .max_per_provider = 2},
                      .max_questions = 6,
                      .max_per_owner = 4},
                     [this](const std::string&) {
                       {
                         MutexLock l(mu_);
                         ++answers_;
                       }
                       changed_.notify_all();
                     }};
  int listener_ = 0;
};

TEST_F(ObserverTest, AsksAtOnceAndThenAtTheInterval) {
  sources_.Set("p99", 0.1);
  observer_.Start();
  ASSERT_TRUE(observer_.Watch("a", {Metric("p99")}).ok());
  ASSERT_TRUE(AwaitAnswers(1));
  EXPECT_EQ(Latest("a").answer, Answer::kValue);
  EXPECT_EQ(Latest("a").value, 0.1);
  sources_.Set("p99", 0.2);
  clock_.Advance(8s);
  EXPECT_EQ(sources_.asked("p99"), 1);
  clock_.Advance(4s);
  ASSERT_TRUE(AwaitAnswers(2));
  EXPECT_EQ(Latest("a").value, 0.2);
  EXPECT_EQ(Latest("a").time, clock_.Steady());
}

TEST_F(ObserverTest, BeforeTheFirstAnswerThereIsNoValue) {
  ASSERT_TRUE(observer_.Watch("a", {Metric("p99")}).ok());
  EXPECT_EQ(Latest("a").answer, Answer::kError);
  EXPECT_EQ(Latest("a").detail, "no answer yet");
  EXPECT_THAT(observer_.Latest("b"), IsEmpty());
}

TEST_F(ObserverTest, AnswersStandInTheOrderOfWhatIsWanted) {
  sources_.Set("x", 1), sources_.Set("y", 2);
  observer_.Start();
  ASSERT_TRUE(observer_.Watch("a", {Metric("x"), Metric("y"), Metric("x")}).ok());
  ASSERT_TRUE(AwaitAnswers(2));
  EXPECT_EQ(Latest("a", 0).value, 1);
  EXPECT_EQ(Latest("a", 1).value, 2);
  EXPECT_EQ(Latest("a", 2).value, 1);
}

TEST_F(ObserverTest, EqualQueriesAreAskedOnceAtTheShortestInterval) {
  observer_.Start();
  ASSERT_TRUE(observer_.Watch("a", {Metric("p99", 60s)}).ok());
  ASSERT_TRUE(AwaitAnswers(1));
  ASSERT_TRUE(observer_.Watch("b", {Metric("p99", 10s)}).ok());
  EXPECT_EQ(observer_.figures().questions, 1U);
  EXPECT_EQ(Latest("b").answer, Answer::kValue) << "known already";
  clock_.Advance(12s);
  ASSERT_TRUE(AwaitAnswers(3)) << "both are told";
  EXPECT_EQ(sources_.asked("p99"), 2);
  ASSERT_TRUE(observer_.Watch("b", {}).ok());
  clock_.Advance(12s);
  ASSERT_TRUE(AwaitAnswers(4)) << "the longer interval holds from the next time on";
  clock_.Advance(12s);
  EXPECT_EQ(sources_.asked("p99"), 3);
}

TEST_F(ObserverTest, WhatNobodyWantsAnyMoreIsNotAsked) {
  observer_.Start();
  ASSERT_TRUE(observer_.Watch("a", {Metric("x"), Metric("y")}).ok());
  ASSERT_TRUE(AwaitAnswers(2));
  ASSERT_TRUE(observer_.Watch("a", {Metric("y")}).ok());
  EXPECT_EQ(observer_.figures().questions, 1U);
  EXPECT_EQ(Latest("a").answer, Answer::kValue) << "what stays keeps what is known";
  clock_.Advance(12s);
  ASSERT_TRUE(AwaitAnswers(3));
  EXPECT_EQ(sources_.asked("x"), 1);
  EXPECT_EQ(sources_.asked("y"), 2);
}

TEST_F(ObserverTest, ToSayTheSameAgainChangesNothing) {
  observer_.Start();
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(observer_.Watch("a", {Metric("x"), Metric("x")}).ok());
  ASSERT_TRUE(AwaitAnswers(1));
  EXPECT_EQ(sources_.asked("x"), 1);
  EXPECT_EQ(observer_.figures().questions, 1U);
  ASSERT_TRUE(observer_.Watch("a", {}).ok());
  EXPECT_EQ(observer_.figures().questions, 0U);
}

TEST_F(ObserverTest, AProviderThatHangsDoesNotKeepItFromTheOthers) {
  for (const char* query : {"h1", "h2", "h3"}) sources_.Hang(query);
  observer_.Start();
  ASSERT_TRUE(observer_
                  .Watch("a", {Metric("h1", 10s, "http://hangs"), Metric("h2", 10s, "http://hangs"),
                               Metric("h3", 10s, "http://hangs")})
                  .ok());
  ASSERT_TRUE(sources_.AwaitAsked("h1", 1));
  ASSERT_TRUE(sources_.AwaitAsked("h2", 1));
  ASSERT_TRUE(observer_.Watch("b", {Metric("x")}).ok());
  ASSERT_TRUE(AwaitAnswers(1));
  EXPECT_EQ(Latest("b").answer, Answer::kValue);
  EXPECT_EQ(sources_.asked("h3"), 0) << "two at a time of one provider";
  for (const char* query : {"h1", "h2", "h3"}) sources_.Release(query);
  ASSERT_TRUE(AwaitAnswers(4));
  EXPECT_LE(sources_.most_at_once(), 3);
}

TEST_F(ObserverTest, AFailureIsAnAnswerAndIsAskedAgainSoon) {
  sources_.Fail("x");
  observer_.Start();
  ASSERT_TRUE(observer_.Watch("a", {Metric("x", 60s)}).ok());
  ASSERT_TRUE(AwaitAnswers(1));
  EXPECT_EQ(Latest("a").answer, Answer::kError);
  EXPECT_EQ(Latest("a").detail, "is down");
  sources_.Fail("x", false);
  clock_.Advance(1s);
  ASSERT_TRUE(AwaitAnswers(2));
  EXPECT_EQ(Latest("a").answer, Answer::kValue);
  EXPECT_EQ(observer_.figures().failed, 1U);
}

TEST_F(ObserverTest, AQueryThatMakesNoSenseIsObservedAsThat) {
  observer_.Start();
  ASSERT_TRUE(observer_.Watch("a", {Metric("invalid"), Metric("x")}).ok());
  ASSERT_TRUE(AwaitAnswers(1));
  EXPECT_EQ(Latest("a").answer, Answer::kError);
  EXPECT_EQ(Latest("a").detail, "query: makes no sense");
  EXPECT_EQ(Latest("a", 1).answer, Answer::kValue);
}

TEST_F(ObserverTest, TooManyAreRefusedAndAllIsAsBefore) {
  ASSERT_TRUE(observer_.Watch("a", {Metric("1"), Metric("2"), Metric("3"), Metric("4")}).ok());
  const Status over = observer_.Watch("a", std::vector<Wanted>(5, Metric("5")));
  ASSERT_FALSE(over.ok());
  EXPECT_EQ(over.error().code, ErrorCode::kUnavailable);
  EXPECT_FALSE(observer_.Watch("b", {Metric("5"), Metric("6"), Metric("7")}).ok());
  EXPECT_EQ(observer_.Latest("a").size(), 4U);
  EXPECT_THAT(observer_.Latest("b"), IsEmpty());
  EXPECT_EQ(observer_.figures().questions, 4U);
  EXPECT_TRUE(observer_.Watch("a", {Metric("5"), Metric("6"), Metric("7")}).ok());
}

TEST_F(ObserverTest, AStopEndsWhatIsUnderWay) {
  sources_.Hang("x");
  observer_.Start();
  ASSERT_TRUE(observer_.Watch("a", {Metric("x")}).ok());
  ASSERT_TRUE(sources_.AwaitAsked("x", 1));
  observer_.Stop();
  observer_.Stop();
  EXPECT_EQ(observer_.figures().in_flight, 0);
}

TEST_F(ObserverTest, WhatIsRemovedWhileItIsAskedIsForgotten) {
  sources_.Hang("x");
  observer_.Start();
  ASSERT_TRUE(observer_.Watch("a", {Metric("x")}).ok());
  ASSERT_TRUE(sources_.AwaitAsked("x", 1));
  ASSERT_TRUE(observer_.Watch("a", {}).ok());
  ASSERT_TRUE(observer_.Watch("a", {Metric("y")}).ok());
  ASSERT_TRUE(AwaitAnswers(1));
  EXPECT_EQ(Latest("a").answer, Answer::kValue);
  sources_.Release("x");
  observer_.Stop();
  EXPECT_EQ(observer_.figures().questions, 1U);
}

}  // namespace
}  // namespace backfill::observe
