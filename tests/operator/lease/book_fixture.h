#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "operator/lease/lease_book.h"

namespace backfill::lease {

inline constexpr Epoch kEpoch{7};
inline constexpr SessionId kA{1};  // of worker run-0, instance a
inline constexpr SessionId kB{2};  // of worker run-1, instance b

// A book over a ledger of a few shards of 100 records, a store that confirms when told, and two
// workers.
class BookTest : public testing::Test {
 protected:
  void Start(int shards, LeaseOptions options = {}) {
    plan::Plan plan{.hash = "sha256:cafe"};
    for (int i = 0; i < shards; ++i) plan.shards.push_back({{i * 100, (i + 1) * 100}, 100});
    ledger_ = std::make_unique<ledger::Ledger>(ledger::Ledger::FromPlan(plan));
    options_ = options;
    Lead(kEpoch);
  }

  // A leader takes up what its predecessor made durable.
  void Lead(Epoch epoch, Predecessors predecessors = Predecessors::kMayLive) {
    epoch_ = epoch;
    book_.reset();
    book_ = std::make_unique<LeaseBook>(options_, *ledger_, epoch, now_, predecessors);
    sequence_.clear();
  }
  // As above, after the process was lost: only what WriteAll() wrote is left.
  void LeadAnew(Epoch epoch, Predecessors predecessors = Predecessors::kMayLive) {
    book_.reset();
    ledger_ = std::make_unique<ledger::Ledger>(ledger::Ledger::FromChunks(durable_).value());
    Lead(epoch, predecessors);
  }

  Effects Join(SessionId session, std::vector<LeaseReport> held = {}) {
    return session == kA ? book_->OnHello(kA, "run-0", "a", held, now_)
                         : book_->OnHello(kB, "run-1", "b", held, now_);
  }
  std::uint64_t Next(SessionId session) { return ++sequence_[session]; }
  Effects Say(SessionId session, std::vector<LeaseReport> reports, int wanted = 0) {
    return book_->OnProgress(session, Next(session), reports, wanted, now_);
  }
  Effects SayDone(SessionId session, const LeaseReport& report) {
    return book_->OnShardDone(session, Next(session), report, now_);
  }
  Effects SayOther(SessionId session) { return book_->OnOther(session, Next(session), now_); }
  Effects SayDraining(SessionId session, std::vector<LeaseReport> reports) {
    return book_->OnDraining(session, Next(session), reports, now_);
  }
  Effects Tick(Duration d = {}) {
    now_ += d;
    return book_->Tick(now_);
  }
  // Writes what is dirty, and confirms it.
  Effects WriteAll() {
    Effects effects;
    durable_.resize(static_cast<std::size_t>(ledger_->chunks()));
    for (int c = 0; c < ledger_->chunks(); ++c) {
      if (!ledger_->IsDirty(c)) continue;
      const ledger::ChunkImage image = ledger_->Encode(c, epoch_);
      durable_[static_cast<std::size_t>(c)] = image.data;
      for (Effect& e : book_->OnWritten(c, image.sequence)) effects.push_back(std::move(e));
    }
    return effects;
  }

  // Asks until the worker has a lease on each of so many shards; returns them.
  std::vector<ledger::Shard> Lease(SessionId session, int shards) {
    std::vector<ledger::Shard> leased;
    std::vector<LeaseReport> reports;
    for (const LeaseName& name : book_->Kept(session)) reports.push_back(Untouched(name.shard));
    Say(session, reports, shards);
    for (int i = 0; i < 3; ++i) {
      for (const SendLease& e : Of<SendLease>(Tick())) leased.push_back(e.shard);
      WriteAll();
    }
    EXPECT_EQ(leased.size(), static_cast<std::size_t>(shards));
    return leased;
  }

  [[nodiscard]] const ledger::Shard& Get(ShardId shard) const { return *ledger_->Find(shard); }
  // A report that the first `done` records of a shard have an outcome.
  [[nodiscard]] LeaseReport Done(ShardId shard, std::uint64_t done) const {
    const ledger::Shard& s = Get(shard);
    return {.shard = shard,
            .attempt = s.attempt,
            .epoch = epoch_,
            .end = s.range.end,
            .cursor = Advance(s.range.begin, done),
            .done_above = {},
            .counts = {.updated = done},
            .in_flight = 1};
  }
  [[nodiscard]] LeaseReport Untouched(ShardId shard) const {
    LeaseReport r = Done(shard, 0);
    r.in_flight = 0;
    return r;
  }

  template <typename E>
  static std::vector<E> Of(const Effects& effects) {
    std::vector<E> out;
    for (const Effect& e : effects) {
      if (const E* found = std::get_if<E>(&e)) out.push_back(*found);
    }
    return out;
  }
  static std::string ReasonOfClose(const Effects& effects) {
    const auto closed = Of<CloseSession>(effects);
    return closed.size() == 1 ? closed[0].reason : std::to_string(closed.size()) + " were closed";
  }

  LeaseOptions options_;
  Epoch epoch_ = kEpoch;
  Time now_{std::chrono::hours(1)};
  std::unique_ptr<ledger::Ledger> ledger_;
  std::unique_ptr<LeaseBook> book_;
  std::vector<std::string> durable_;
  std::map<SessionId, std::uint64_t> sequence_;
};

}  // namespace backfill::lease
