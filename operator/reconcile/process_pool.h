#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "operator/reconcile/worker_pool.h"

namespace backfill::reconcile {

using namespace std::chrono_literals;

struct ProcessPoolOptions {
  std::filesystem::path worker_binary;
  std::string coordinator_address;  // gRPC target
  std::string token;  // secret of this run; travels in the environment of the children only
  std::filesystem::path log_file;  // stdout and stderr of the workers are appended here, mode 0600
  int alive_lock_fd =
      -1;  // holds a shared flock; children inherit it, so it is free once the last one is gone
  // Where each process has a SentFile, which outlives it; empty: none has one.
  std::filesystem::path sent_dir;
  Duration grace = 15s;          // between SIGTERM and SIGKILL
  Duration restart_min = 100ms;  // back-off of a slot whose worker ended badly, doubling
  Duration restart_max = 5s;
  // Called on the pool's thread when a worker process has ended for certain.
  std::function<void(const StageKey&, const std::string& worker, const std::string& instance)>
      on_gone;
};

// Workers as child processes. They end with their runner: each holds the read end of a lifeline
// pipe whose write end only the runner has, so a runner that is killed leaves nobody behind who
// still sends.
class ProcessPool final : public WorkerPool {
 public:
  ProcessPool(ProcessPoolOptions options, const Clock& clock);
  ~ProcessPool() override;  // kills and reaps whatever is left

  // kInvalid: the worker binary is missing or cannot be executed. Call once, before Scale().
  Status Start();

  Status Scale(const api::Backfill& backfill, Stage stage, int replicas) override;
  Status Stop(const StageKey& key) override;
  PoolStatus Observe(const api::Backfill& backfill, Stage stage) override;

  // SIGKILL for every worker, at once.
  void KillAll();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace backfill::reconcile
