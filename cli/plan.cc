#include "cli/plan.h"

#include <algorithm>
#include <limits>
#include <ostream>
#include <utility>
#include <variant>

#include "cli/backfill_file.h"
#include "cli/exit_code.h"
#include "cli/failures.h"
#include "cli/plan_changes.h"
#include "cli/stored_backfill.h"
#include "cli/terminal_text.h"
#include "operator/reconcile/failure_budget.h"
#include "operator/reconcile/spec_plan.h"

namespace backfill::cli {

std::optional<double> PlanPreview::Seconds() const {
  const auto& rate = backfill.spec.throttle.max_records_per_second;
  if (!rate || *rate <= 0) return std::nullopt;
  return static_cast<double>(records) / static_cast<double>(*rate);
}

std::uint64_t PlanPreview::WorstAttempts() const {
  const auto attempts =
      static_cast<std::uint64_t>(std::max(1, backfill.spec.failure_policy.attempts));
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  return records > kMost / attempts ? kMost : records * attempts;
}

std::optional<double> PlanPreview::WorstSeconds() const {
  const std::optional<double> seconds = Seconds();
  if (!seconds) return std::nullopt;
  return *seconds * backfill.spec.failure_policy.attempts;
}

std::uint64_t PlanPreview::PeakRequests() const {
  const api::Workers& workers = backfill.spec.workers;
  return static_cast<std::uint64_t>(workers.replicas) *
         static_cast<std::uint64_t>(workers.concurrency);
}

bool PlanPreview::SendsRequests() const {
  return !backfill.spec.dry_run || backfill.spec.target.dry_run.has_value();
}

namespace {

Result<api::Spec> Resolve(const api::Backfill& backfill, const Place& place,
                          const Environment& env) {
  if (!std::holds_alternative<api::FailuresOfSource>(backfill.spec.source)) return backfill.spec;
  const OpenState state = TRY(OpenExistingState(place.In(backfill.ns), env, Access::kRead));
  return ResolveFailures(*state.store, backfill);
}

}  // namespace

Result<PlanPreview> PreviewPlan(const api::Backfill& backfill, const Place& place,
                                const Environment& env) {
  const api::Spec spec = TRY(Resolve(backfill, place, env));
  const plan::Plan made = TRY(reconcile::PlanFor(spec, {}));
  PlanPreview preview;
  preview.backfill = backfill;
  preview.records = made.records;
  preview.shards = made.shards.size();
  for (const plan::PlannedShard& s : made.shards) {
    preview.records_per_shard = std::max(preview.records_per_shard, s.records);
  }
  preview.hash = made.hash;
  auto samples = SampleRequests(backfill.name, spec, made);
  if (samples.ok()) {
    preview.samples = std::move(samples).value();
  } else {
    preview.warnings.push_back("warning: the requests cannot be made: " +
                               Printable(samples.error().message));
  }
  preview.file = made.file;
  return preview;
}

namespace {

std::string Shown(const PlanPreview& preview, const std::string& output) {
  if (output == "json") return PlanToJson(preview);
  if (output == "yaml") return PlanToYaml(preview);
  if (output == "markdown") return PlanToMarkdown(preview);
  return PlanToText(preview);
}

}  // namespace

int RunPlan(const PlanOptions& options, const Environment& env) {
  Streams& streams = env.streams;
  if (options.file == "-" && options.against == "-") {
    streams.err << "error: --file and --against cannot both be stdin\n";
    return kExitNotStarted;
  }
  const std::optional<LoadedFile> loaded = LoadBackfill(options.file, options.place.ns, streams);
  if (!loaded) return kExitNotStarted;
  Result<PlanPreview> preview = PreviewPlan(loaded->backfill, options.place, env);
  if (!preview.ok()) {
    streams.err << "error: " << ShownFile(options.file) << ": "
                << Printable(preview.error().message) << "\n";
    return kExitNotStarted;
  }
  preview->warnings.insert(preview->warnings.begin(), loaded->warnings.begin(),
                           loaded->warnings.end());
  if (const std::optional<std::string> exceeded =
          preview->file
              ? reconcile::FailureBudgetExceeded(loaded->backfill.spec.failure_policy,
                                                 preview->file->bad_records, preview->records)
              : std::nullopt) {
    preview->warnings.push_back("warning: the bad rows alone exceed the failure budget: " +
                                Printable(*exceeded));
  }
  if (!options.against.empty()) {
    const std::optional<OldPlan> old = LoadOldPlan(options.against, options.place, env);
    if (!old) return kExitNotStarted;
    preview->against = PlanComparison{ShownFile(options.against), FindPlanChanges(*old, *preview)};
  }
  streams.out << Shown(*preview, options.output);
  const bool differs = preview->against && !preview->against->changes.empty();
  return differs ? kExitPlanDiffers : kExitDone;
}

}  // namespace backfill::cli
