#pragma once

#include <memory>

#include "worker/settings.h"

namespace backfill::worker {

// The worker of the stage `plan` from start to end: reads the source once, and says to the
// coordinator where it can be cut. It has no target, and no code to send anything to one. One loop
// thread, one that reads the source, and the link's.
class PlanWorker {
 public:
  explicit PlanWorker(Settings settings);
  ~PlanWorker();
  PlanWorker(const PlanWorker&) = delete;
  PlanWorker& operator=(const PlanWorker&) = delete;

  // As Worker::Run().
  int Run();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace backfill::worker
