#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <thread>

#include "backfill/v1/workload.pb.h"
#include "base/mutex.h"
#include "base/result.h"
#include "operator/plan/found_source.h"
#include "rows/file_plan.h"

namespace backfill::worker {

// Reads a source once, from beginning to end, on a thread of its own, with the code by which it is
// planned where there is no cluster: so the plan is the same. Thread-safe.
//
// It cannot be given up while the file system hangs; a process that ends does not wait for it.
class PlanPass {
 public:
  using Found = Result<plan::FoundSource>;

  // kInvalid: it is no planning, or of a file that this worker does not know how to read.
  // `on_end` is called on the pass's thread.
  static Result<std::unique_ptr<PlanPass>> Start(const v1::Workload& workload,
                                                 std::function<void()> on_end);
  PlanPass(const PlanPass&) = delete;
  PlanPass& operator=(const PlanPass&) = delete;
  ~PlanPass() = default;  // stops and joins

  [[nodiscard]] rows::PlanProgress progress() const;
  // nullopt: it is being read. Errors: kInvalid: as it is it cannot be planned; kAborted; all
  // others may heal by themselves, also that it is not there.
  [[nodiscard]] std::optional<Found> found() const;

 private:
  PlanPass() = default;
  void SetProgress(const rows::PlanProgress& progress);
  void SetFound(Found found);

  mutable Mutex mu_;
  rows::PlanProgress progress_ GUARDED_BY(mu_);
  std::optional<Found> found_ GUARDED_BY(mu_);
  std::jthread thread_;  // last: joins before the rest goes
};

}  // namespace backfill::worker
