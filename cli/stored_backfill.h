#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/cluster.h"
#include "cli/environment.h"
#include "cli/place.h"
#include "cli/run_by.h"
#include "cli/state_dir.h"
#include "operator/api/backfill.h"
#include "operator/reconcile/stage_host.h"

// Access of commands to backfills that have been run before.
namespace backfill::cli {

// A state directory, or a cluster.
struct OpenState {
  Place place;                               // as asked for, with the namespace that is usual there
  std::optional<StateDir> dir;               // nullopt: a cluster
  std::unique_ptr<kube::ObjectStore> store;  // never null
  Cluster* cluster = nullptr;                // the store, if it is one

  // nullopt: nobody moves it on.
  [[nodiscard]] std::optional<RunBy> RunnerOf(std::string_view ns, std::string_view name) const;
};

// The state of a place, which must exist. Errors say what to do.
Result<OpenState> OpenExistingState(const Place& place, const Environment& env, Access access);

// kNotFound: names a backfill that was probably meant, or the namespace in which there is one of
// that name.
Result<api::Backfill> ReadBackfill(kube::ObjectStore& store, const Place& place,
                                   const std::string& name);

struct Listing {
  std::vector<api::Backfill> backfills;
  std::vector<std::string> problems;  // of those that cannot be read, which are left out
};
// All of them; of one namespace if the place names one, or if it is a cluster and not all are
// asked for.
Result<Listing> ListBackfills(kube::ObjectStore& store, const Place& place);

// Reads what is stored (nullptr: nothing), lets `decide` say what shall be (nothing: it may stay as
// it is), and writes that if what was read is still there; else again, a bounded number of times.
// Each try is one write, so a crash leaves all or nothing. Returns what is stored then.
using DecideBackfill =
    std::function<Result<std::optional<api::Backfill>>(const api::Backfill* stored)>;
Result<api::Backfill> WriteBackfill(kube::ObjectStore& store, const kube::ObjectRef& ref,
                                    const DecideBackfill& decide);

// The same with one that must be there. `change` returns false when there is nothing to write, or
// an error to give up with. On a cluster only annotations can be changed, and nothing else is
// written.
using EditBackfill = std::function<Result<bool>(api::Backfill&)>;
Result<api::Backfill> ChangeBackfill(OpenState& state, const Place& place, const std::string& name,
                                     const EditBackfill& change);

// The dry run while the backfill is one, the real run after that.
reconcile::StageKey StageOf(const api::Backfill& backfill);

kube::ObjectRef RefOf(const Place& place, const std::string& name);

// Prints "error: ..." on err and returns kExitNotStarted.
int Refuse(Streams& streams, const std::string& message);

}  // namespace backfill::cli
