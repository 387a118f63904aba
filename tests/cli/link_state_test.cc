#include "cli/link_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/fakes/manual_clock.h"
#include "tests/fakes/scripted_transport.h"

namespace backfill::cli {
namespace {

using std::chrono_literals::operator""s;

class LinkStateTest : public testing::Test {
 protected:
  void Send() { static_cast<void>(link_.Send({.target = "/x"}, clock_.Steady() + 10s, {})); }
  // Until it ends or is cut.
  void Stream() {
    static_cast<void>(link_.Stream({.target = "/x"},
                                   {.deadline = clock_.Steady() + 300s, .idle = 300s}, {},
                                   [this](std::string_view) {
                                     seen_in_stream_ = link_.problem().has_value();
                                     return true;
                                   }));
  }
  const Error lost_{ErrorCode::kUnavailable, "connection refused"};
  fakes::ManualClock clock_;
  fakes::ScriptedTransport to_{clock_};
  LinkState link_{to_, clock_};
  bool seen_in_stream_ = true;
};

TEST_F(LinkStateTest, KnowsNothingAtFirst) { EXPECT_FALSE(link_.problem()); }

TEST_F(LinkStateTest, KeepsSinceWhenNothingGetsThrough) {
  to_.Fail(lost_);
  Send();
  const Time first = clock_.Steady();
  clock_.Advance(5s);
  to_.Fail(lost_);
  Send();
  ASSERT_TRUE(link_.problem());
  EXPECT_EQ(link_.problem()->since, first);
  EXPECT_EQ(link_.problem()->error.message, "connection refused");
  to_.Answer(200, "{}");
  Send();
  EXPECT_FALSE(link_.problem());
}

TEST_F(LinkStateTest, ARefusalIsAProblemToo) {
  to_.Answer(403, R"({"kind":"Status","code":403,"reason":"Forbidden","message":"no"})");
  Send();
  ASSERT_TRUE(link_.problem());
  EXPECT_EQ(link_.problem()->error.code, ErrorCode::kPermission);
  to_.Refuse(401, "");
  Stream();
  EXPECT_EQ(link_.problem()->error.code, ErrorCode::kUnauthenticated);
}

TEST_F(LinkStateTest, ALineShowsThatAllIsWell) {
  to_.Fail(lost_);
  Send();
  to_.Line("{}");
  to_.CutStream(lost_);
  Stream();
  EXPECT_FALSE(seen_in_stream_);
  EXPECT_TRUE(link_.problem()) << "it was cut after that";
}

TEST_F(LinkStateTest, AWatchThatEndsInGoodOrderIsNoProblem) {
  to_.Fail(lost_);
  Send();
  to_.EndStream();
  Stream();
  EXPECT_FALSE(link_.problem());
}

TEST_F(LinkStateTest, WhatWeStopOurselvesIsNoProblem) {
  to_.Fail({ErrorCode::kAborted, "stopped"});
  Send();
  EXPECT_FALSE(link_.problem());
}

}  // namespace
}  // namespace backfill::cli
