#include "operator/kube/client/credential_cache.h"

#include <atomic>
#include <thread>

#include "tests/fakes/manual_clock.h"

namespace backfill::kube {
namespace {

using std::chrono::seconds;

Time InGoodTime() { return std::chrono::steady_clock::now() + seconds(10); }

// Says what the test wants, and counts.
class Source final : public CredentialSource {
 public:
  explicit Source(Result<Credentials>& next) : next_(next) {}
  Result<Credentials> Load(Time, std::stop_token) override {
    ++loads;
    while (hold) std::this_thread::yield();
    return next_;
  }
  std::atomic<int> loads{0};
  std::atomic<bool> hold{false};

 private:
  Result<Credentials>& next_;
};

class CredentialCacheTest : public testing::Test {
 protected:
  std::string Token() {
    const auto got = cache_.Get(InGoodTime(), {});
    return got.ok() ? (*got)->token : got.error().message;
  }
  std::string TokenAfter401() {
    const auto now = cache_.Get(InGoodTime(), {});
    const auto got = cache_.Replace(*now, InGoodTime(), {});
    return got.ok() ? (*got)->token : got.error().message;
  }

  fakes::ManualClock clock_;
  Result<Credentials> next_ = Credentials{.token = "a"};
  Source* const source_ = new Source(next_);
  CredentialCache cache_{std::unique_ptr<CredentialSource>(source_), clock_};
};

TEST_F(CredentialCacheTest, R35_ReadsOnceAMinute) {
  EXPECT_EQ(Token(), "a");
  next_ = Credentials{.token = "b"};
  clock_.Advance(seconds(59));
  EXPECT_EQ(Token(), "a");
  EXPECT_EQ(source_->loads, 1);
  clock_.Advance(seconds(1));
  EXPECT_EQ(Token(), "b");
  EXPECT_EQ(source_->loads, 2);
}

TEST_F(CredentialCacheTest, R35_ReadsAfterARefusalOnceASecond) {
  EXPECT_EQ(Token(), "a");
  next_ = Credentials{.token = "b"};
  EXPECT_EQ(TokenAfter401(), "b");
  next_ = Credentials{.token = "c"};
  EXPECT_EQ(TokenAfter401(), "b");
  clock_.Advance(seconds(1));
  EXPECT_EQ(TokenAfter401(), "c");
  EXPECT_EQ(source_->loads, 3);
}

TEST_F(CredentialCacheTest, WhatAnotherHasReplacedIsNotReadAgain) {
  const auto old = cache_.Get(InGoodTime(), {}).value();
  next_ = Credentials{.token = "b"};
  EXPECT_EQ((*cache_.Replace(old, InGoodTime(), {}))->token, "b");
  clock_.Advance(seconds(5));
  EXPECT_EQ((*cache_.Replace(old, InGoodTime(), {}))->token, "b");
  EXPECT_EQ(source_->loads, 2);
}

TEST_F(CredentialCacheTest, KeepsWhatItHasWhileFilesCannotBeRead) {
  EXPECT_EQ(Token(), "a");
  next_ = Error{ErrorCode::kUnauthenticated, "gone"};
  clock_.Advance(seconds(60));
  EXPECT_EQ(Token(), "a");
  EXPECT_EQ(Token(), "a");
  EXPECT_EQ(source_->loads, 2);
  clock_.Advance(seconds(60));
  EXPECT_EQ(TokenAfter401(), "gone");
  next_ = Credentials{.token = "b"};
  clock_.Advance(seconds(60));
  EXPECT_EQ(Token(), "b");
}

TEST_F(CredentialCacheTest, WhereThereAreNoneAsksOnceASecond) {
  next_ = Error{ErrorCode::kUnauthenticated, "gone"};
  EXPECT_EQ(Token(), "gone");
  EXPECT_EQ(Token(), "gone");
  EXPECT_EQ(source_->loads, 1);
  next_ = Credentials{.token = "b"};
  clock_.Advance(seconds(1));
  EXPECT_EQ(Token(), "b");
}

TEST_F(CredentialCacheTest, ReplacesWhatExpiresBeforeItDoes) {
  next_ = Credentials{.token = "a", .expires = clock_.Wall() + seconds(30)};
  EXPECT_EQ(Token(), "a");
  next_ = Credentials{.token = "b"};
  clock_.Advance(seconds(19));
  EXPECT_EQ(Token(), "a");
  clock_.Advance(seconds(1));
  EXPECT_EQ(Token(), "b");
}

TEST_F(CredentialCacheTest, OneReadsAndTheOthersDoNotWaitForIt) {
  EXPECT_EQ(Token(), "a");
  clock_.Advance(seconds(60));
  source_->hold = true;
  next_ = Credentials{.token = "b"};
  {
    const std::jthread reader([&] { EXPECT_EQ(Token(), "b"); });
    while (source_->loads < 2) std::this_thread::yield();
    EXPECT_EQ(Token(), "a");
    source_->hold = false;
  }
  EXPECT_EQ(Token(), "b");
  EXPECT_EQ(source_->loads, 2);
}

TEST_F(CredentialCacheTest, TheFirstIsWaitedForUntilADeadlineOrAStop) {
  source_->hold = true;
  const std::jthread reader([&] { EXPECT_EQ(Token(), "a"); });
  while (source_->loads < 1) std::this_thread::yield();
  EXPECT_EQ(cache_.Get(std::chrono::steady_clock::now(), {}).error().code, ErrorCode::kDeadline);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(cache_.Get(InGoodTime(), stop.get_token()).error().code, ErrorCode::kAborted);
  const std::jthread waiter([&] { EXPECT_EQ(Token(), "a"); });
  source_->hold = false;
}

// Of many that are refused at once one reads, and all go on with what it has read.
TEST_F(CredentialCacheTest, R35_WhoIsRefusedWhileAnotherReadsWaitsForThat) {
  const auto refused = cache_.Get(InGoodTime(), {}).value();
  next_ = Credentials{.token = "b"};
  source_->hold = true;
  const std::jthread reader(
      [&] { EXPECT_EQ((*cache_.Replace(refused, InGoodTime(), {}))->token, "b"); });
  while (source_->loads < 2) std::this_thread::yield();
  const auto too_soon = cache_.Replace(refused, std::chrono::steady_clock::now(), {});
  source_->hold = false;
  ASSERT_FALSE(too_soon.ok()) << "goes on with what was refused";
  EXPECT_EQ(too_soon.error().code, ErrorCode::kDeadline);
  EXPECT_EQ((*cache_.Replace(refused, InGoodTime(), {}))->token, "b");
  EXPECT_EQ(source_->loads, 2);
}

TEST_F(CredentialCacheTest, R35_TheSameReadAgainMeanwhileIsNoOther) {
  const auto refused = cache_.Get(InGoodTime(), {}).value();
  clock_.Advance(seconds(60));
  EXPECT_EQ(Token(), "a");
  next_ = Credentials{.token = "b"};
  EXPECT_EQ((*cache_.Replace(refused, InGoodTime(), {}))->token, "b");
}

}  // namespace
}  // namespace backfill::kube
