#include "operator/reconcile/spec_plan.h"

#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "operator/api/decode.h"
#include "operator/api/template_fields.h"
#include "operator/plan/file_planner.h"
#include "operator/plan/source_planner.h"
#include "operator/reconcile/file_format.h"

namespace backfill::reconcile {
namespace {

struct MakePlanner {
  const api::Spec& spec;
  const PlanningProgress& progress;

  std::unique_ptr<plan::SourcePlanner> operator()(const api::RangeSource& s) const {
    return std::make_unique<plan::RangePlanner>(Range{s.start, s.end});
  }
  std::unique_ptr<plan::SourcePlanner> operator()(const api::KeysSource& s) const {
    return std::make_unique<plan::KeysPlanner>(s.keys.size());
  }
  std::unique_ptr<plan::SourcePlanner> operator()(const api::FailuresOfSource&) const {
    return nullptr;
  }
  std::unique_ptr<plan::SourcePlanner> operator()(const api::FileSource& s) const {
    std::vector<plan::NeededField> needed;
    for (api::TemplateField& field : api::TemplateFields(spec))
      needed.push_back({std::move(field.name), std::move(field.place)});
    return std::make_unique<plan::FilePlanner>(s.path, FormatOf(s, spec), std::move(needed),
                                               HttpOptionsOf(s), progress);
  }
};

plan::Cutting CuttingOf(const api::Spec& spec) {
  return {.records_per_shard = spec.sharding ? spec.sharding->records_per_shard : 0,
          .workers = spec.workers.replicas};
}

}  // namespace

bool IsReadByWorker(const api::Spec& spec, bool on_cluster) {
  return on_cluster && std::holds_alternative<api::FileSource>(spec.source);
}

Result<plan::Plan> PlanFound(const api::Backfill& backfill, StageHost& stages) {
  const StageKey key = KeyOf(backfill, Stage::kPlan);
  auto found = stages.Found(key);
  if (!found.ok()) {
    TRY(stages.Close(key));
    return found.error().Annotate("planning");
  }
  plan::FoundPlanner planner(std::move(*found));
  const api::Spec& spec = backfill.spec;
  return plan::MakePlan(planner, CuttingOf(spec), api::CanonicalWork(spec), {})
      .Annotate("planning");
}

Result<plan::Plan> PlanFor(const api::Spec& spec, std::stop_token stop,
                           const PlanningProgress& progress) {
  const auto planner = std::visit(MakePlanner{spec, progress}, spec.source);
  if (!planner) return Error{ErrorCode::kInternal, "planning failures that were not looked up"};
  return plan::MakePlan(*planner, CuttingOf(spec), api::CanonicalWork(spec), std::move(stop));
}

Status CheckIsPlanned(const api::Backfill& resolved, std::stop_token stop) {
  const plan::Plan plan = TRY(PlanFor(resolved.spec, std::move(stop)));
  if (resolved.status.plan && plan.hash == resolved.status.plan->hash) return Ok{};
  return Error{ErrorCode::kInternal,
               "the failures that spec.source.failuresOf names are not those that were planned"};
}

api::PlanStatus ToStatus(const plan::Plan& plan, WallTime now) {
  api::PlanStatus made;
  made.hash = plan.hash;
  made.shards = static_cast<std::int64_t>(plan.shards.size());
  made.records = plan.records;
  made.time = FormatWallTime(now);
  if (plan.file) {
    made.bad_records = plan.file->bad_records;
    made.duplicate_keys = plan.file->duplicate_keys;
    made.duplicates_estimated = !plan.file->duplicates_exact;
  }
  return made;
}

}  // namespace backfill::reconcile
