#include "operator/reconcile/spec_plan.h"

#include <memory>
#include <utility>
#include <variant>

#include "operator/api/decode.h"
#include "operator/plan/source_planner.h"

namespace backfill::reconcile {
namespace {

struct MakePlanner {
  std::unique_ptr<plan::SourcePlanner> operator()(const api::RangeSource& s) const {
    return std::make_unique<plan::RangePlanner>(Range{s.start, s.end});
  }
  std::unique_ptr<plan::SourcePlanner> operator()(const api::KeysSource& s) const {
    return std::make_unique<plan::KeysPlanner>(s.keys.size());
  }
  std::unique_ptr<plan::SourcePlanner> operator()(const api::FailuresOfSource&) const {
    return nullptr;
  }
};

}  // namespace

Result<plan::Plan> PlanFor(const api::Spec& spec, std::stop_token stop) {
  const plan::Cutting cutting{
      .records_per_shard = spec.sharding ? spec.sharding->records_per_shard : 0,
      .workers = spec.workers.replicas};
  const auto planner = std::visit(MakePlanner{}, spec.source);
  if (!planner) return Error{ErrorCode::kInternal, "planning failures that were not looked up"};
  return plan::MakePlan(*planner, cutting, api::CanonicalWork(spec), std::move(stop));
}

}  // namespace backfill::reconcile
