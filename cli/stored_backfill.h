#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "cli/environment.h"
#include "cli/locks.h"
#include "cli/place.h"
#include "cli/state_dir.h"
#include "operator/api/backfill.h"
#include "operator/reconcile/stage_host.h"

// Access of commands to backfills that have been run before.
namespace backfill::cli {

struct OpenState {
  StateDir dir;
  std::unique_ptr<kube::ObjectStore> store;
};

// The state of a place, which must exist. Errors say what to do.
Result<OpenState> OpenExistingState(const Place& place, const Environment& env, Access access);

// kNotFound: names a backfill that was probably meant, or the namespace in which there is one of
// that name.
Result<api::Backfill> ReadBackfill(kube::ObjectStore& store, const Place& place,
                                   const std::string& name);

// All of them; of one namespace if the place names one.
Result<std::vector<api::Backfill>> ListBackfills(kube::ObjectStore& store, const Place& place);

// Reads what is stored (nullptr: nothing), lets `decide` say what shall be (nothing: it may stay as
// it is), and writes that if what was read is still there; else again, a bounded number of times.
// Each try is one write, so a crash leaves all or nothing. Returns what is stored then.
using DecideBackfill =
    std::function<Result<std::optional<api::Backfill>>(const api::Backfill* stored)>;
Result<api::Backfill> WriteBackfill(kube::ObjectStore& store, const kube::ObjectRef& ref,
                                    const DecideBackfill& decide);

// The same with one that must be there. `change` returns false when there is nothing to write, or
// an error to give up with.
using EditBackfill = std::function<Result<bool>(api::Backfill&)>;
Result<api::Backfill> ChangeBackfill(kube::ObjectStore& store, const Place& place,
                                     const std::string& name, const EditBackfill& change);

// The dry run while the backfill is one, the real run after that.
reconcile::StageKey StageOf(const api::Backfill& backfill);

kube::ObjectRef RefOf(const Place& place, const std::string& name);

// Prints "error: ..." on err and returns kExitNotStarted.
int Refuse(Streams& streams, const std::string& message);

}  // namespace backfill::cli
