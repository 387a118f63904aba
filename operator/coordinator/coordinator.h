#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/sent_file.h"
#include "operator/coordinator/leadership.h"
#include "operator/coordinator/server_options.h"
#include "operator/coordinator/stage_options.h"
#include "operator/kube/object_store.h"
#include "operator/kube/runtime/metrics.h"
#include "operator/reconcile/stage_host.h"

namespace backfill::observe {
class SignalBoard;
}

namespace backfill::coordinator {

struct CoordinatorOptions {
  ServerOptions server;
  StageOptions stage;
  kube::MetricRegistry* metrics = nullptr;  // outlives the coordinator; null: nothing is counted
  Duration tick = std::chrono::milliseconds(50);
  Duration call_timeout =
      std::chrono::seconds(10);  // for an answer of the loop, which never blocks
  Duration close_timeout = std::chrono::seconds(10);  // for the last writes of a stage
  // Calls to the store for one ledger that are under way at a time. More than one where it is far
  // away and has many hands: how soon a new leader serves depends on it.
  int store_calls_at_once = 1;
  // A worker whose stage is not open is heard this long before it is turned away: a new leader
  // opens its stages one after the other, and is found by their workers before that.
  Duration hello_patience = std::chrono::seconds(3);
  // Whether every worker process of earlier leaders of this stage has ended for certain. Not set:
  // they may live. Asked once per Open, on its thread.
  std::function<bool(const reconcile::StageKey&)> predecessors_proven_gone;
  // What a process that has ended has sent at most, or all of them together; nullopt: not known.
  // `holder`: worker/instance, empty for all. Not set: nothing is known of any. Asked where a
  // process is reported as gone, and in Open when all are; on the caller's thread.
  std::function<std::optional<SentBounds>(const reconcile::StageKey&, const std::string& holder)>
      sent_by;
  // Is told what workers measure, by uid. Must outlive the coordinator. Null: nobody asks.
  observe::SignalBoard* signals = nullptr;
};

// Serves the workers of all open stages over gRPC and keeps their ledgers.
//
// Threads: one loop decides everything and never blocks; one writer talks to the store; gRPC's own
// threads only move messages. The methods are thread-safe; Open, CreateLedger, ReadLedger read and
// write the store on the caller's thread. The references must outlive it.
class Coordinator final : public reconcile::StageHost {
 public:
  Coordinator(kube::ObjectStore& store, const Clock& clock, const Leadership& leadership,
              const CoordinatorOptions& options);
  ~Coordinator() override;

  // Listens. kInvalid: the socket's path is too long or its directory is open to others, or a
  // network has no certificates; kUnavailable: cannot listen.
  Status Start();
  // As a worker dials it: "unix:/path" or "127.0.0.1:4711", or what it listens on. After Start().
  [[nodiscard]] std::string address() const;
  // Streams end, threads are joined. Does not write: Close the stages first. Idempotent; final.
  void Stop();
  // Since the start.
  [[nodiscard]] ServerCounts counts() const;
  // A pod (its uid) was deleted or has finished: its stream ends, and it gets no other, if its
  // identity came from an Authenticator. Whether its requests have ended is for WorkerGone() to
  // say.
  void Disconnect(const std::string& instance);

  Status CreateLedger(const reconcile::StageKey& key, const plan::Plan& plan) override;
  Result<reconcile::LedgerSummary> ReadLedger(const reconcile::StageKey& key) override;
  Result<std::vector<ledger::FailedRecord>> ReadFailures(const reconcile::StageKey& key) override;
  // Of a stage that is open already: changes nothing. kConflict: another leader has taken it up.
  Status Open(const api::Backfill& backfill, const reconcile::StageKey& key) override;
  void Configure(const reconcile::StageKey& key, const reconcile::LiveSettings& settings) override;
  std::optional<reconcile::StageSnapshot> Snapshot(const reconcile::StageKey& key) override;
  std::optional<reconcile::PlanningSnapshot> Planning(const api::Backfill& backfill) override;
  Result<plan::FoundSource> Found(const reconcile::StageKey& key) override;
  std::vector<reconcile::Sample> Samples(const reconcile::StageKey& key) override;
  // The stage is closed afterwards, whatever is returned.
  Status Close(const reconcile::StageKey& key) override;
  void WorkerGone(const reconcile::StageKey& key, const std::string& worker,
                  const std::string& instance) override;

 private:
  struct Impl;
  Status OpenOnce(const api::Backfill& backfill, const reconcile::StageKey& key);
  Status OpenPlanning(const api::Backfill& backfill, const reconcile::StageKey& key);
  std::unique_ptr<Impl> impl_;
};

}  // namespace backfill::coordinator
