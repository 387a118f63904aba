#pragma once

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
  void FailNextOpen(Error error) { fail_open_ = std::move(error); }
  void Crash() { open_.clear(); }  // the operator dies

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
    const auto it = ledgers_.find(key);
    if (it == ledgers_.end()) return Error{ErrorCode::kNotFound, "no ledger"};
    return it->second;
  }
  Status Open(const api::Backfill&, const reconcile::StageKey& key) override {
    if (fail_open_) return *std::exchange(fail_open_, std::nullopt);
    open_[key] = {};
    ++times_opened_[key.stage];
    return Ok{};
  }
  void Configure(const reconcile::StageKey& key, const reconcile::LiveSettings& settings) override {
    if (open_.contains(key)) open_[key] = settings;
  }
  std::optional<reconcile::StageSnapshot> Snapshot(const reconcile::StageKey& key) override {
    if (!open_.contains(key)) return std::nullopt;
    reconcile::StageSnapshot s;
    s.totals = ledgers_.at(key).totals;
    s.flushed = true;
    s.connected = 1;
    s.sessions = 1;
    return s;
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
  std::optional<Error> fail_open_;
};

// Workers that start and end at once.
class FakeWorkerPool final : public reconcile::WorkerPool {
 public:
  Status Scale(const reconcile::StageKey& key, int replicas) override {
    replicas_[key.stage] = replicas;
    return Ok{};
  }
  Status Stop(const reconcile::StageKey& key) override { return Scale(key, 0); }
  reconcile::PoolStatus Observe(const reconcile::StageKey& key) override {
    reconcile::PoolStatus s;
    s.desired = s.alive = replicas_[key.stage];
    return s;
  }
  int alive(reconcile::Stage stage) { return replicas_[stage]; }

 private:
  std::map<reconcile::Stage, int> replicas_;
};

}  // namespace backfill::fakes
