#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cli/place.h"
#include "operator/api/backfill.h"
#include "operator/api/conditions.h"

// What a status means to whoever waits for it. Pure.
namespace backfill::cli {

using api::FindCondition;
using api::HasEnded;

bool IsTrue(const api::Status& status, std::string_view type);

// Why it goes no further without someone doing something.
enum class Ending {
  kCompleted,
  kDryRunDone,
  kFailed,
  kStalled,
  kPaused,
};

// nullopt: it is on its way, or the operator has not seen the latest spec yet.
std::optional<Ending> FindEnding(const api::Backfill& backfill);

int ExitCodeOf(Ending ending);

// The progress that the phase is about: the dry run's until there is a real one.
const api::ProgressStatus* ProgressOf(const api::Status& status);

// How many records have an outcome of the kind that the spec asks for now: 0 where only a dry run
// has been there, and the next run is for real.
std::uint64_t RecordsDone(const api::Backfill& backfill);

// What is paused and by whom: "paused by annotation: night shift", "paused by the file
// (spec.paused)"; empty: it is not.
std::string PausedBy(const api::Backfill& backfill);

// What to do next, as a sentence with a command in it; `file` is the file that was run, or empty.
std::string NextStep(const api::Backfill& backfill, std::optional<Ending> ending,
                     const Place& place, std::string_view file);

}  // namespace backfill::cli
