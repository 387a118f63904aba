#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/environment.h"
#include "cli/place.h"
#include "cli/plan_samples.h"
#include "cli/spec_changes.h"
#include "operator/api/backfill.h"
#include "operator/plan/plan.h"

namespace backfill::cli {

struct PlanOptions {
  std::string file;
  std::string output = "text";  // text, json, yaml, markdown
  std::string against;          // an older plan or file to compare with; empty: none
  Place place;
};

// Prints what a file would do. Writes no state, and reads it for source.failuresOf alone.
// kExitPlanDiffers: it is not what `against` would do.
int RunPlan(const PlanOptions& options, const Environment& env);

struct PlanComparison {
  std::string file;
  std::vector<SpecChange> changes;
};

// What a file would do, for a reviewer.
struct PlanPreview {
  api::Backfill backfill;
  std::uint64_t records = 0;
  std::uint64_t shards = 0;
  std::uint64_t records_per_shard = 0;  // of the largest shard
  std::string hash;
  std::optional<plan::FileFacts> file;  // of a file source
  std::vector<std::string> warnings;
  std::vector<RequestSample> samples;
  std::optional<PlanComparison> against;

  // How long the records take at the declared rate; nullopt: no rate is declared.
  [[nodiscard]] std::optional<double> Seconds() const;
  // When every record needs every attempt.
  [[nodiscard]] std::uint64_t WorstAttempts()
      const;  // the largest number, where it would be larger
  [[nodiscard]] std::optional<double> WorstSeconds() const;
  // Under way in one moment at most.
  [[nodiscard]] std::uint64_t PeakRequests() const;
  // False: a dry run without a request of its own.
  [[nodiscard]] bool SendsRequests() const;
};

// Cuts the source as the operator would. Errors as plan::MakePlan, and of what failuresOf names.
Result<PlanPreview> PreviewPlan(const api::Backfill& backfill, const Place& place,
                                const Environment& env);

// Names and values for people; not printable yet.
struct PlanRow {
  std::string name;
  std::string value;
};
std::vector<PlanRow> PlanRows(const PlanPreview& preview);

std::string PlanToText(const PlanPreview& preview);
std::string PlanToJson(const PlanPreview& preview);
std::string PlanToYaml(const PlanPreview& preview);
std::string PlanToMarkdown(const PlanPreview& preview);

}  // namespace backfill::cli
