#include "operator/kube/runtime/leader_election.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "recorded_metrics.h"

namespace backfill::kube {
namespace {

using testing::HasSubstr;

// A Lease in memory, with levers. Thread-safe.
class MemoryLease final : public LeaseApi {
 public:
  ApiResult<StoredLease> Get(Time, std::stop_token) override {
    MutexLock l(mu_);
    if (down_) return Refuse(ApiErrorKind::kUnavailable);
    if (!lease_) return Refuse(ApiErrorKind::kNotFound);
    return *lease_;
  }
  ApiResult<StoredLease> Create(const LeaseRecord& record, Time, std::stop_token) override {
    MutexLock l(mu_);
    if (down_) return Refuse(ApiErrorKind::kUnavailable);
    if (lease_) return Refuse(ApiErrorKind::kAlreadyExists);
    return Put(record);
  }
  ApiResult<StoredLease> Update(const StoredLease& base, const LeaseRecord& record, Time,
                                std::stop_token) override {
    MutexLock l(mu_);
    if (down_) return Refuse(ApiErrorKind::kUnavailable);
    if (!lease_) return Refuse(ApiErrorKind::kNotFound);
    if (lease_->version != base.version) return Refuse(ApiErrorKind::kConflict);
    return Put(record);
  }

  void Release() {
    MutexLock l(mu_);
    Put({.holder = "", .duration_seconds = 1});
  }
  void GoDown() {
    MutexLock l(mu_);
    down_ = true;
  }
  std::string holder() {
    MutexLock l(mu_);
    return lease_ ? lease_->record.holder : "";
  }

 private:
  static ApiError Refuse(ApiErrorKind kind) {
    ApiError e;
    e.kind = kind;
    e.message = "refused";
    return e;
  }
  StoredLease Put(const LeaseRecord& record) REQUIRES(mu_) {
    lease_ = StoredLease{.record = record, .version = std::to_string(++version_), .object = {}};
    return *lease_;
  }
  Mutex mu_;
  std::optional<StoredLease> lease_ GUARDED_BY(mu_);
  int version_ GUARDED_BY(mu_) = 0;
  bool down_ GUARDED_BY(mu_) = false;
};

class Witness final : public LeaderEvents {
 public:
  void OnLeading(Epoch epoch) override { Note("leading " + std::to_string(epoch.value)); }
  void OnLost(const std::string& reason) override { Note("lost: " + reason); }
  // Waits for the next thing that happens.
  std::string Next() {
    MutexLock l(mu_);
    changed_.wait_for(mu_, 30s, [this]() REQUIRES(mu_) { return seen_ < notes_.size(); });
    return seen_ < notes_.size() ? notes_[seen_++] : "nothing";
  }

 private:
  void Note(const std::string& note) {
    MutexLock l(mu_);
    notes_.push_back(note);
    changed_.notify_all();
  }
  Mutex mu_;
  std::condition_variable_any changed_;
  std::vector<std::string> notes_ GUARDED_BY(mu_);
  std::size_t seen_ GUARDED_BY(mu_) = 0;
};

class LeaderElectionTest : public testing::Test {
 protected:
  std::unique_ptr<LeaderElection> Candidate(const std::string& name, Witness& witness) {
    return std::make_unique<LeaderElection>(
        ElectionOptions{
            .identity = name, .lease = 2s, .renew_deadline = 1500ms, .retry = 50ms, .spread = 10ms},
        "backfill-operator", lease_, clock_, witness, metrics_);
  }
  double Status() {
    return metrics_.Value("leader_election_master_status{name=backfill-operator}");
  }

  SystemClock clock_;
  MemoryLease lease_;
  RecordedMetrics metrics_;
  Witness a_, b_;
};

TEST_F(LeaderElectionTest, R39_LeadsUntilItStopsAndHandsOver) {
  lease_.Release();
  const auto a = Candidate("a", a_);
  EXPECT_EQ(Status(), 0);
  a->Start();
  EXPECT_EQ(a_.Next(), "leading 1");
  EXPECT_TRUE(a->IsLeaderAt(clock_.Steady()));
  EXPECT_FALSE(a->IsLeaderAt(clock_.Steady() + 1500ms));  // whatever becomes of its thread
  EXPECT_EQ(a->epoch(), Epoch{1});
  EXPECT_EQ(Status(), 1);

  const auto b = Candidate("b", b_);
  b->Start();
  a->Stop();
  EXPECT_FALSE(a->IsLeaderAt(clock_.Steady()));
  EXPECT_EQ(a->epoch(), std::nullopt);
  EXPECT_EQ(b_.Next(), "leading 2");
  EXPECT_EQ(b->holder(), "b");
  b->Stop();
  EXPECT_EQ(lease_.holder(), "");
}

TEST_F(LeaderElectionTest, R38_SaysThatItLostWhenTheServerIsAway) {
  lease_.Release();
  const auto a = Candidate("a", a_);
  a->Start();
  EXPECT_EQ(a_.Next(), "leading 1");
  lease_.GoDown();
  EXPECT_THAT(a_.Next(), HasSubstr("lost: the Lease was not renewed in time"));
  EXPECT_FALSE(a->IsLeaderAt(clock_.Steady()));
  EXPECT_EQ(Status(), 0);
  EXPECT_GT(clock_.Steady() - a->heard_at(), 500ms);
}

TEST_F(LeaderElectionTest, StopsWithoutHavingLedAndWithoutTheServer) {
  const auto never_started = Candidate("a", a_);
  never_started->Stop();
  lease_.Release();
  const auto b = Candidate("b", b_);
  b->Start();
  EXPECT_EQ(b_.Next(), "leading 1");
  lease_.GoDown();
  const Time before = clock_.Steady();
  b->Stop();
  EXPECT_LT(clock_.Steady() - before, 5s);  // the deadline, and a slow machine
  b->Stop();
}

TEST(LeaderIdentityTest, R37_IsAnotherForEachProcess) {
  EXPECT_THAT(NewIdentity("operator-0"), testing::MatchesRegex("operator-0_[0-9a-f]{16}"));
  EXPECT_NE(NewIdentity("operator-0"), NewIdentity("operator-0"));
}

}  // namespace
}  // namespace backfill::kube
