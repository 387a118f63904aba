#include "operator/coordinator/takeover.h"

#include <utility>

namespace backfill::coordinator {
namespace {

// Each round means that a predecessor was alive and wrote; it does so once per chunk at most before
// it learns of us.
constexpr int kMaxRounds = 5;

Status Stamp(LedgerStore& store, ledger::Ledger& ledger, Epoch epoch) {
  std::vector<LedgerWrite> stamps;
  for (int chunk = 0; chunk < ledger.chunks(); ++chunk) {
    ledger.Touch(chunk);
    stamps.push_back({.image = ledger.Encode(chunk, epoch)});
  }
  return store.Write(stamps, epoch).status;
}

// A leader may have died after it wrote the chunk that begins a later attempt and before it wrote
// the cut. Then the attempt was not granted, and stands where it began. If the cut was written,
// this repeats a part of it.
void RepairCuts(const ledger::Ledger& ledger, ledger::FailureLog& failures) {
  ledger.ForEach([&failures](const ledger::Shard& s) {
    if (s.state == ledger::ShardState::kDone || s.attempt.value < 2) return;
    failures.Supersede(s.id, s.attempt, s.cursor, s.done_above);
  });
}

}  // namespace

Result<ledger::Ledger> LoadLedger(LedgerStore& store) {
  const std::vector<std::string> chunks = TRY(store.LoadChunks());
  auto ledger = ledger::Ledger::FromChunks(chunks);
  if (!ledger.ok()) return Error{ErrorCode::kInternal, "ledger damaged: " + ledger.error().message};
  return ledger;
}

Result<TakenOver> TakeOver(LedgerStore& store, std::optional<ledger::Ledger> loaded) {
  for (int round = 0; round < kMaxRounds; ++round) {
    if (!loaded) loaded = TRY(LoadLedger(store));
    ledger::Ledger ledger = *std::exchange(loaded, std::nullopt);
    const Epoch epoch{ledger.highest_epoch().value + 1};
    const Status stamped = Stamp(store, ledger, epoch);
    if (!stamped.ok() && stamped.error().code == ErrorCode::kExpired) continue;
    if (!stamped.ok()) return stamped.error();
    // Only now: a predecessor writes its pages before the chunks that count them, and its chunks
    // are refused from here on.
    auto failures = ledger::FailureLog::FromPages(TRY(store.LoadPages()));
    if (!failures.ok()) {
      return Error{ErrorCode::kInternal, "failure log damaged: " + failures.error().message};
    }
    RepairCuts(ledger, *failures);
    return TakenOver{std::move(ledger), std::move(*failures), epoch};
  }
  return Error{ErrorCode::kConflict, "another leader keeps writing the ledger"};
}

}  // namespace backfill::coordinator
