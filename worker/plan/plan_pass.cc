#include "worker/plan/plan_pass.h"

#include <pthread.h>

#include <utility>
#include <vector>

#include "operator/plan/file_planner.h"
#include "worker/source/file_terms.h"

namespace backfill::worker {
namespace {

PlanPass::Found Look(plan::FilePlanner& planner, const plan::Cutting& cutting,
                     const std::stop_token& stop) {
  std::vector<plan::PlannedShard> shards = TRY(planner.Cut(cutting, stop));
  return plan::FoundSource{std::move(shards), planner.file().value_or(plan::FileFacts{})};
}

}  // namespace

Result<std::unique_ptr<PlanPass>> PlanPass::Start(const v1::Workload& workload,
                                                  std::function<void()> on_end) {
  if (!workload.has_plan() || !workload.source().has_file())
    return Error{ErrorCode::kInvalid, "there is no file to be planned in what is to be done"};
  const v1::FileSource& file = workload.source().file();
  std::vector<plan::NeededField> needed;
  for (const v1::NeededField& field : workload.plan().needed())
    needed.push_back({field.name(), field.place()});
  std::unique_ptr<PlanPass> pass(new PlanPass());
  const plan::Cutting cutting{
      .records_per_shard = static_cast<std::int64_t>(workload.plan().records_per_shard()),
      .workers = static_cast<int>(workload.plan().workers())};
  auto planner = std::make_unique<plan::FilePlanner>(
      file.path(), TRY(FormatOf(file)), std::move(needed), HttpOptionsOf(file),
      [p = pass.get()](const rows::PlanProgress& progress) { p->SetProgress(progress); },
      plan::FilePlanner::Missing::kMayAppear);
  pass->thread_ = std::jthread([p = pass.get(), planner = std::move(planner), cutting,
                                on_end = std::move(on_end)](const std::stop_token& stop) {
    pthread_setname_np(pthread_self(), "plan");
    p->SetFound(Look(*planner, cutting, stop));
    on_end();
  });
  return pass;
}

rows::PlanProgress PlanPass::progress() const {
  MutexLock l(mu_);
  return progress_;
}

std::optional<PlanPass::Found> PlanPass::found() const {
  MutexLock l(mu_);
  return found_;
}

void PlanPass::SetProgress(const rows::PlanProgress& progress) {
  MutexLock l(mu_);
  progress_ = progress;
}

void PlanPass::SetFound(Found found) {
  MutexLock l(mu_);
  found_ = std::move(found);
}

}  // namespace backfill::worker
