#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "operator/reconcile/stage_host.h"
#include "operator/reconcile/worker_pool.h"

namespace backfill::fakes {

// Ledgers and stages in memory. What is durable (ledgers) outlives a "crash" of the operator; what
// is open does not.
class FakeStageHost final : public reconcile::StageHost {
 public:
  // ---- levers
  // The open stage's workers carry all (or some) shards through, `failed` of the records without
  // success.
  void Finish(reconcile::Stage stage, std::uint64_t failed = 0) {
    for (auto& [key, ledger] : ledgers_)
      if (key.stage == stage) Progress(key, ledger.totals.shards, failed);
  }
  void Progress(const reconcile::StageKey& key, std::int64_t shards_done,
                std::uint64_t failed = 0) {
    ledger::Totals& t = ledgers_.at(key).totals;
    const std::uint64_t per_shard =
        t.shards == 0 ? 0 : t.planned / static_cast<std::uint64_t>(t.shards);
    t.shards_done = shards_done;
    t.shards_pending = t.shards - shards_done;
    t.counts.failed = failed;
    t.counts.updated = static_cast<std::uint64_t>(shards_done) * per_shard - failed;
  }
  // What an earlier run has left.
  void FailedIn(const reconcile::StageKey& key, std::vector<ledger::FailedRecord> records) {
    failures_[key] = std::move(records);
  }
  // The worker of the stage `plan` has read so much, has found this, or says why it cannot.
  void Reads(const reconcile::PlanningSnapshot& snapshot) { planning_ = snapshot; }
  void Finds(Result<plan::FoundSource> found) {
    found_ = std::move(found);
    planning_.ended = true;
  }
  void FailNextOpen(Error error) { fail_open_ = std::move(error); }
  void Rate(double attempts_per_second) { rate_ = attempts_per_second; }
  void NewSession() { ++sessions_; }         // a worker connects
  void Crash() { open_.clear(); }            // the operator dies
  void Hang(bool hangs) { hangs_ = hangs; }  // nobody can look at what is open

  // ---- what the world looks like
  [[nodiscard]] bool IsOpen(reconcile::Stage stage) const { return Find(stage) != nullptr; }
  [[nodiscard]] std::optional<reconcile::LiveSettings> SettingsOf(reconcile::Stage stage) const {
    const auto* s = Find(stage);
    return s == nullptr ? std::nullopt : std::optional(*s);
  }
  [[nodiscard]] int times_opened(reconcile::Stage stage) const {
    const auto it = times_opened_.find(stage);
    return it == times_opened_.end() ? 0 : it->second;
  }
  [[nodiscard]] const std::map<reconcile::StageKey, reconcile::LedgerSummary>& ledgers() const {
    return ledgers_;
  }
  [[nodiscard]] int times_read() const { return times_read_; }  // ledgers
  [[nodiscard]] int batch_size(reconcile::Stage stage) const {  // when it was opened last
    const auto it = batch_sizes_.find(stage);
    return it == batch_sizes_.end() ? 0 : it->second;
  }

  [[nodiscard]] const api::Source& source(reconcile::Stage stage) const {  // likewise
    return sources_.at(stage);
  }

  // ---- StageHost
  Status CreateLedger(const reconcile::StageKey& key, const plan::Plan& plan) override {
    if (const auto it = ledgers_.find(key);
        it != ledgers_.end() && it->second.plan_hash == plan.hash)
      return Ok{};
    ledger::Totals t;
    t.planned = plan.records;
    t.shards = t.shards_pending = static_cast<std::int64_t>(plan.shards.size());
    ledgers_[key] = {plan.hash, t};
    return Ok{};
  }
  Result<reconcile::LedgerSummary> ReadLedger(const reconcile::StageKey& key) override {
    ++times_read_;
    const auto it = ledgers_.find(key);
    if (it == ledgers_.end()) return Error{ErrorCode::kNotFound, "no ledger"};
    return it->second;
  }
  Result<std::vector<ledger::FailedRecord>> ReadFailures(const reconcile::StageKey& key) override {
    return failures_[key];
  }
  Status Open(const api::Backfill& backfill, const reconcile::StageKey& key) override {
    if (fail_open_) return *std::exchange(fail_open_, std::nullopt);
    if (key.stage == reconcile::Stage::kPlan) {
      planning_ = {};
      found_.reset();
      planned_generation_ = backfill.generation;
    }
    open_[key] = {};
    ++times_opened_[key.stage];
    batch_sizes_[key.stage] = backfill.spec.workers.batch_size;
    sources_[key.stage] = backfill.spec.source;
    return Ok{};
  }
  void Configure(const reconcile::StageKey& key, const reconcile::LiveSettings& settings) override {
    if (open_.contains(key)) open_[key] = settings;
  }
  std::optional<reconcile::StageSnapshot> Snapshot(const reconcile::StageKey& key) override {
    if (!open_.contains(key) || key.stage == reconcile::Stage::kPlan) return std::nullopt;
    reconcile::StageSnapshot s;
    if (hangs_) {
      s.error = Error{ErrorCode::kDeadline, "the coordinator's loop does not answer"};
      return s;
    }
    s.totals = ledgers_.at(key).totals;
    s.flushed = true;
    s.connected = 1;
    s.sessions = sessions_;
    s.attempts_per_second = rate_;
    const reconcile::LiveSettings& settings = open_.at(key);
    if (!settings.paused && !settings.unlimited) s.allowed = settings.records_per_second;
    s.granted = s.allowed;
    s.records_wait = s.allowed > 0;
    return s;
  }
  std::optional<reconcile::PlanningSnapshot> Planning(const api::Backfill& backfill) override {
    const auto it = open_.find(KeyOf(backfill, reconcile::Stage::kPlan));
    if (it == open_.end()) return std::nullopt;
    reconcile::PlanningSnapshot seen = planning_;
    seen.outdated = backfill.generation != planned_generation_;
    return seen;
  }
  Result<plan::FoundSource> Found(const reconcile::StageKey& key) override {
    if (!open_.contains(key) || !found_) return Error{ErrorCode::kNotFound, "nothing found"};
    return *found_;
  }
  std::vector<reconcile::Sample> Samples(const reconcile::StageKey&) override {
    return {{"7", "POST /7"}};
  }
  Status Close(const reconcile::StageKey& key) override {
    open_.erase(key);
    return Ok{};
  }
  void WorkerGone(const reconcile::StageKey&, const std::string&, const std::string&) override {}

 private:
  [[nodiscard]] const reconcile::LiveSettings* Find(reconcile::Stage stage) const {
    for (const auto& [key, settings] : open_)
      if (key.stage == stage) return &settings;
    return nullptr;
  }
  std::map<reconcile::StageKey, reconcile::LedgerSummary> ledgers_;
  std::map<reconcile::StageKey, reconcile::LiveSettings> open_;
  std::map<reconcile::Stage, int> times_opened_;
  std::map<reconcile::Stage, int> batch_sizes_;
  std::map<reconcile::Stage, api::Source> sources_;
  std::map<reconcile::StageKey, std::vector<ledger::FailedRecord>> failures_;
  reconcile::PlanningSnapshot planning_;
  std::optional<Result<plan::FoundSource>> found_;
  std::int64_t planned_generation_ = 0;
  int times_read_ = 0;
  bool hangs_ = false;
  std::uint64_t sessions_ = 1;
  double rate_ = 0;
  std::optional<Error> fail_open_;
};

// Workers that start and end at once.
class FakeWorkerPool final : public reconcile::WorkerPool {
 public:
  // All that live end badly and are started again.
  void LoseAll(reconcile::Stage stage) {
    failures_[stage] += static_cast<std::uint64_t>(alive(stage));
  }

  Status Scale(const api::Backfill& backfill, reconcile::Stage stage, int replicas) override {
    replicas_[{backfill.uid, stage}] = replicas;
    return Ok{};
  }
  Status Stop(const reconcile::StageKey& key) override {
    replicas_[{key.uid, key.stage}] = 0;
    return Ok{};
  }
  reconcile::PoolStatus Observe(const api::Backfill& backfill, reconcile::Stage stage) override {
    reconcile::PoolStatus s;
    s.desired = s.alive = replicas_[{backfill.uid, stage}];
    s.failures = failures_[stage];
    return s;
  }
  [[nodiscard]] int alive(reconcile::Stage stage) const {
    int all = 0;
    for (const auto& [of, replicas] : replicas_) all += of.second == stage ? replicas : 0;
    return all;
  }

 private:
  std::map<std::pair<std::string, reconcile::Stage>, int> replicas_;  // by uid
  std::map<reconcile::Stage, std::uint64_t> failures_;
};

}  // namespace backfill::fakes
