#pragma once

#include <string>
#include <vector>

#include "operator/coordinator/ledger_store.h"
#include "operator/ledger/failure_log.h"
#include "operator/ledger/ledger.h"
#include "operator/plan/plan.h"

namespace backfill::cli {

// `shards` of ten records each.
inline plan::Plan PlanOfTens(int shards) {
  plan::Plan plan;
  for (int i = 0; i < shards; ++i) plan.shards.push_back({Range{i * 10, (i + 1) * 10}, 10});
  plan.records = static_cast<std::uint64_t>(shards) * 10;
  plan.hash = plan::PlanHash("work", plan.shards);
  return plan;
}

// The ledger of a run as a coordinator writes it: the first shard is leased, and a record in it,
// the one at position 7, has failed.
inline Status WriteLedgerOfRun(kube::ObjectStore& store, const reconcile::StageKey& key,
                               const plan::Plan& plan, const std::string& failed_key) {
  ledger::Ledger ledger = ledger::Ledger::FromPlan(plan);
  ledger::Shard first = *ledger.Find(ShardId{0});
  first.state = ledger::ShardState::kInFlight;
  first.attempt = Attempt{1};
  first.epoch = Epoch{1};
  first.holder = "run-0/abc";
  ledger.Update(first);
  std::vector<ledger::ChunkImage> images;
  for (int i = 0; i < ledger.chunks(); ++i) images.push_back(ledger.Encode(i, Epoch{1}));
  coordinator::LedgerStore writer(store, key);
  TRY(writer.Create(images, Epoch{1}));
  ledger::FailureLog log;
  log.Append({.shard = {0},
              .attempt = {1},
              .position = 7,
              .key = failed_key,
              .failure_class = ledger::FailureClass::kPermanent,
              .attempts = 1,
              .message = "422 total is negative"});
  return writer
      .Write({{coordinator::LedgerWrite::Kind::kPage, log.EncodePage(0, Epoch{1}),
               kube::Durability::kPower}},
             Epoch{1})
      .status;
}

}  // namespace backfill::cli
