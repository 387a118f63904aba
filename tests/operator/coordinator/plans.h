#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "operator/ledger/ledger.h"
#include "operator/plan/plan.h"
#include "operator/reconcile/stage_host.h"

// What the tests of this folder work on.
namespace backfill::coordinator {

inline reconcile::StageKey RunKey() {
  return {.ns = "shop", .name = "reprice", .uid = "1a2b3c4d-5e6f", .stage = reconcile::Stage::kRun};
}
inline reconcile::StageKey DryRunKey() {
  reconcile::StageKey key = RunKey();
  key.stage = reconcile::Stage::kDryRun;
  return key;
}

// Shards of `size` records over 0, 1, 2..
inline plan::Plan PlanOf(int shards, std::int64_t size, const std::string& work = "work") {
  plan::Plan plan;
  for (std::int64_t i = 0; i < shards; ++i) {
    plan.shards.push_back({Range{i * size, (i + 1) * size}, static_cast<std::uint64_t>(size)});
    plan.records += static_cast<std::uint64_t>(size);
  }
  plan.hash = plan::PlanHash(work, plan.shards);
  return plan;
}

inline std::vector<ledger::ChunkImage> Images(const plan::Plan& plan, Epoch epoch = {}) {
  ledger::Ledger ledger = ledger::Ledger::FromPlan(plan);
  std::vector<ledger::ChunkImage> images;
  for (int i = 0; i < ledger.chunks(); ++i) images.push_back(ledger.Encode(i, epoch));
  return images;
}

}  // namespace backfill::coordinator
