#pragma once

// What the exit codes of every command mean; an interface for scripts.
namespace backfill::cli {

inline constexpr int kExitDone = 0;  // ended as declared, or the command did what was asked
inline constexpr int kExitNotStarted =
    1;  // nothing was started: bad input, bad environment, someone else runs it
inline constexpr int kExitFailed = 2;           // the backfill failed for good
inline constexpr int kExitPlanDiffers = 2;      // of plan --against: that plan is another one
inline constexpr int kExitDecisionsDiffer = 2;  // of replay-throttle: not all are the same
inline constexpr int kExitStopped =
    3;  // stopped before its end, everything needed to go on is kept
inline constexpr int kExitKilled = 130;  // a second Ctrl-C

}  // namespace backfill::cli
