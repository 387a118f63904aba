#include "cli/plan.h"

#include <algorithm>
#include <limits>
#include <ostream>

#include "cli/backfill_file.h"
#include "cli/exit_code.h"
#include "cli/terminal_text.h"
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

Result<PlanPreview> PreviewPlan(const api::Backfill& backfill) {
  const plan::Plan made = TRY(reconcile::PlanFor(backfill.spec, {}));
  PlanPreview preview;
  preview.backfill = backfill;
  preview.records = made.records;
  preview.shards = made.shards.size();
  for (const plan::PlannedShard& s : made.shards) {
    preview.records_per_shard = std::max(preview.records_per_shard, s.records);
  }
  preview.hash = made.hash;
  return preview;
}

int RunPlan(const PlanOptions& options, Streams& streams) {
  const std::optional<LoadedFile> loaded = LoadBackfill(options.file, options.place.ns, streams);
  if (!loaded) return kExitNotStarted;
  Result<PlanPreview> preview = PreviewPlan(loaded->backfill);
  if (!preview.ok()) {
    streams.err << "error: " << ShownFile(options.file) << ": "
                << Printable(preview.error().message) << "\n";
    return kExitNotStarted;
  }
  preview->warnings = loaded->warnings;
  if (options.output == "json") {
    streams.out << PlanToJson(*preview);
  } else if (options.output == "yaml") {
    streams.out << PlanToYaml(*preview);
  } else {
    streams.out << PlanToText(*preview);
  }
  return kExitDone;
}

}  // namespace backfill::cli
