#pragma once

#include <optional>

#include "base/ids.h"
#include "base/result.h"
#include "operator/coordinator/ledger_store.h"
#include "operator/ledger/failure_log.h"
#include "operator/ledger/ledger.h"

namespace backfill::coordinator {

// A ledger that this process leads: no earlier leader can write it any more.
struct TakenOver {
  ledger::Ledger ledger;
  ledger::FailureLog failures;  // may have pages to be written
  Epoch epoch;
};

// Loads a stage's ledger and stamps a new epoch, the highest in it + 1, into every chunk. What a
// predecessor writes meanwhile is loaded, too. Blocks on the store. Errors: kNotFound (no ledger),
// kInternal (damaged), kConflict (another leader is taking it up), those of the store.
// `loaded`: by that store a moment ago. It need not be read again, as its versions are compared
// when it is stamped.
Result<TakenOver> TakeOver(LedgerStore& store, std::optional<ledger::Ledger> loaded = std::nullopt);

// Loads without stamping, for readers.
Result<ledger::Ledger> LoadLedger(LedgerStore& store);

}  // namespace backfill::coordinator
