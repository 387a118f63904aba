// The engine against a target that does anything, with workers that die and coordinators that take
// leases away: every record ends with exactly one outcome, and what is redone is what was answered
// since the last report.
#include <rapidcheck.h>

#include <deque>
#include <map>
#include <optional>
#include <random>

#include "worker/engine/engine.h"

namespace backfill::worker {
namespace {

class Simulation {
 public:
  // A report at least every so many steps.
  Simulation(std::uint64_t seed, Position records, std::uint32_t batch, int report_every = 200,
             int partitions = 0)
      : random_(seed),
        range_{-50, records - 50},
        batch_(batch),
        report_every_(report_every),
        partitions_(partitions) {
    state_.cursor = range_.begin;
    state_.end = range_.end;
    for (int i = 0; i < 5; ++i) poison_[Pick(range_.begin, range_.end - 1)] = true;
  }

  // From the last report on, with a new process. Returns whether the shard is complete.
  bool RunWorker(std::optional<int> dies_within) {
    Engine engine({.batch_size = batch_, .seed = random_()},
                  {.concurrency = 8, .attempts = 4, .retry_budget_percent = 50});
    if (partitions_ > 0) {
      engine.PartitionBy([this](const Record& record) { return PartitionAt(record.position); });
    }
    ++attempt_;
    const LeaseKey key{ShardId{1}, Attempt{attempt_}};
    auto sequence = engine.clock().OnSend(now_);
    RC_ASSERT(engine
                  .AddLease({.key = key,
                             .range = {range_.begin, state_.end},
                             .cursor = state_.cursor,
                             .done_above = state_.done_above,
                             .counts = state_.counts},
                            sequence, now_)
                  .ok());
    engine.SetGrant({1, 1e6, 1e5, now_ + 24h}, now_);
    std::deque<std::pair<std::uint32_t, std::vector<Position>>> in_flight;
    const int lives = dies_within ? Pick(0, *dies_within) : 1'000'000;
    int reported = 0;
    for (int step = 0; step < lives; ++step) {
      now_ += std::chrono::microseconds(Pick(0, 20'000));
      if (partitions_ > 0 && (step == 0 || Pick(0, 99) == 0)) SetCaps(engine);
      while (const auto wants = engine.WantsRecords()) Read(engine, *wants);
      if (Pick(0, 2) != 0) {
        if (const auto d = engine.Next(now_)) {
          std::vector<Position> positions;
          for (const Record& r : *d->records) {
            RC_ASSERT(PartitionAt(r.position) == PartitionAt(d->records->front().position));
          }
          for (const Record& r : *d->records) {
            RC_ASSERT(Range({range_.begin, state_.end}).Contains(r.position));
            positions.push_back(r.position);
            ++sent_[r.position];
          }
          in_flight.emplace_back(d->slot, std::move(positions));
        }
      } else if (!in_flight.empty()) {
        const auto at = in_flight.begin() + Pick(0, static_cast<int>(in_flight.size()) - 1);
        const auto [slot, positions] = *at;
        in_flight.erase(at);
        engine.OnResult(slot, Result(positions), now_);
      }
      if (Pick(0, report_every_ / 10) == 0 || step - reported >= report_every_) {  // it arrives
        reported = step;
        sequence = engine.clock().OnSend(now_);
        engine.clock().Extend(key, sequence, now_);
        Report(engine);
        if (state_.complete) return true;
      }
    }
    return state_.complete;
  }

  void CheckAllDone() {
    RC_ASSERT(state_.cursor == range_.end);
    RC_ASSERT(state_.counts.total() == range_.size());
    // A poison record may not drag others down, and cannot succeed itself.
    RC_ASSERT(state_.counts.failed >= poison_.size());
    for (Position p = range_.begin; p < range_.end; ++p) RC_ASSERT(sent_[p] > 0);
    for (const auto& [p, yes] : poison_) RC_ASSERT(failed_.contains(p));
    RC_ASSERT(failed_.size() == state_.counts.failed);
  }

  // Redone is what has been answered since the last report, however long the shard is: at most one
  // request is answered in a step. How far the window reaches is no bound, since it moves with the
  // worker's own cursor.
  void CheckRedone(int deaths) {
    std::uint64_t redone = 0;
    for (const auto& [p, n] : answered_) redone += n > 1 ? n - 1 : 0;
    RC_ASSERT(redone <= static_cast<std::uint64_t>(deaths * report_every_) * batch_);
  }

 private:
  int Pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
  Position Pick(Position low, Position high) {
    return std::uniform_int_distribution<Position>(low, high)(random_);
  }

  [[nodiscard]] std::string PartitionAt(Position p) const {
    return partitions_ == 0 ? "" : "p" + std::to_string((p + 50) * 7 % partitions_);
  }

  // One of them may be closed for a while, and one has no cap of its own.
  void SetCaps(Engine& engine) {
    PartitionCaps caps{.others = 1e5, .expires = now_ + 24h};
    for (int i = 1; i < partitions_; ++i)
      caps.named["p" + std::to_string(i)] = Pick(0, 3) == 0 ? 0 : Pick(1, 1000);
    engine.SetPartitionCaps(caps, now_);
  }

  void Read(Engine& engine, const Engine::Reading& wants) {
    std::vector<Record> records;
    for (std::uint64_t i = 0; i < wants.max; ++i) {
      const Position p = Advance(wants.from, i);
      records.push_back({.position = p, .key = std::to_string(p)});
    }
    RC_ASSERT(engine.OnRecords(wants.run, std::move(records)).ok());
  }

  BatchResult Result(const std::vector<Position>& positions) {
    BatchResult r{.latency = std::chrono::milliseconds(Pick(0, 50))};
    const bool poisoned = std::any_of(positions.begin(), positions.end(),
                                      [&](Position p) { return poison_.contains(p); });
    const int luck = Pick(0, 99);
    if (luck < 5) {
      r.delivery = Delivery::kUnanswered;
      r.verdict = {Outcome::kFailed, FailureClass::kTimeout, "slow"};
    } else if (luck < 8) {
      r.delivery = Delivery::kNotSent;
      r.unreachable = true;
      r.verdict = {Outcome::kFailed, FailureClass::kTransient, "refused"};
    } else if (luck < 30) {
      r.per_record = true;
      r.verdict = {Outcome::kFailed, FailureClass::kTransient, "left out"};
      for (std::uint32_t i = 0; i < positions.size(); ++i) {
        if (Pick(0, 9) == 0) continue;
        if (poison_.contains(positions[i])) {
          r.records.push_back({i, {Outcome::kFailed, FailureClass::kPermanent, "poison"}});
        } else {
          r.records.push_back({i, {Outcome::kUnchanged, {}, {}}});
          ++answered_[positions[i]];
        }
      }
      return r;
    } else if (poisoned) {
      r.verdict = {Outcome::kFailed, FailureClass::kPermanent, "poison"};
    }
    if (r.verdict.outcome != Outcome::kFailed) {
      for (const Position p : positions) ++answered_[p];
    }
    return r;
  }

  void Report(Engine& engine) {
    while (engine.failures().unsent() > 0) {
      for (const FailedRecord& f : engine.failures().Take(1).failures)
        failed_.insert_or_assign(f.position, f);
    }
    engine.failures().OnAck(1, 1);
    const LeaseState s = engine.Leases().front();
    RC_ASSERT(s.cursor >= state_.cursor);
    RC_ASSERT(s.counts.total() >= state_.counts.total());
    state_ = s;
    // Only failures that the report has passed stand.
    std::erase_if(failed_, [&](const auto& e) {
      if (e.first < s.cursor) return false;
      const auto i = static_cast<std::uint64_t>(e.first - s.cursor);
      return i / 8 >= s.done_above.size() || (s.done_above[i / 8] >> (i % 8) & 1) == 0;
    });
  }

  std::mt19937_64 random_;
  const Range range_;
  const std::uint32_t batch_;
  const int report_every_;
  const int partitions_;  // 0: the target has none
  Time now_{1h};
  std::uint32_t attempt_ = 0;
  LeaseState state_;
  std::map<Position, bool> poison_;
  std::map<Position, int> sent_;
  std::map<Position, std::uint64_t> answered_;
  std::map<Position, FailedRecord> failed_;
};

TEST(EngineSimulation, EveryRecordEndsWithExactlyOneOutcome) {
  EXPECT_TRUE(rc::check("a target that does anything", [](std::uint64_t seed) {
    Simulation sim(seed, *rc::gen::inRange<Position>(1, 600),
                   *rc::gen::element<std::uint32_t>(1, 3, 10, 64));
    RC_ASSERT(sim.RunWorker(std::nullopt));
    sim.CheckAllDone();
  }));
}

TEST(EngineSimulation, WorkersThatDieLoseNoRecord) {
  EXPECT_TRUE(rc::check("kill and restore", [](std::uint64_t seed) {
    Simulation sim(seed, *rc::gen::inRange<Position>(1, 600),
                   *rc::gen::element<std::uint32_t>(1, 3, 10, 64));
    bool complete = false;
    for (int deaths = 0; deaths < 8 && !complete; ++deaths) complete = sim.RunWorker(300);
    if (!complete) RC_ASSERT(sim.RunWorker(std::nullopt));
    sim.CheckAllDone();
  }));
}

TEST(EngineSimulation, RecordsThatWaitForTheirPartitionEndWithExactlyOneOutcome) {
  EXPECT_TRUE(rc::check("caps that come and go", [](std::uint64_t seed) {
    Simulation sim(seed, *rc::gen::inRange<Position>(1, 600),
                   *rc::gen::element<std::uint32_t>(1, 3, 10, 64), 200, *rc::gen::inRange(1, 6));
    bool complete = false;
    for (int deaths = 0; deaths < 4 && !complete; ++deaths) complete = sim.RunWorker(300);
    if (!complete) RC_ASSERT(sim.RunWorker(std::nullopt));
    sim.CheckAllDone();
  }));
}

TEST(EngineSimulation, WorkersThatDieCostWhatTheyDidSinceTheirLastReport) {
  EXPECT_TRUE(rc::check("long shards", [](std::uint64_t seed) {
    Simulation sim(seed, 100'000, *rc::gen::element<std::uint32_t>(1, 10, 50),
                   *rc::gen::element(20, 200));
    const int deaths = *rc::gen::inRange(1, 4);
    for (int i = 0; i < deaths; ++i) RC_ASSERT(!sim.RunWorker(1500));
    sim.CheckRedone(deaths);
  }));
}

}  // namespace
}  // namespace backfill::worker
