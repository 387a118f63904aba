#pragma once

#include <functional>

namespace backfill::coordinator {

// Calls `call` with 0, 1, .. n - 1, begun in this order, up to `at_once` of them at a time, and
// returns when all have returned. For calls that wait most of their time, as those of a store do.
// Where one returns false, no further one is begun: of a number that was called, all lower ones
// were called, too.
//
// Each of the `at_once` has a thread for as long as this takes; with 1, or one call, it is a loop
// on the caller's thread. `call` must be thread-safe.
void CallAll(int n, int at_once, const std::function<bool(int)>& call);

}  // namespace backfill::coordinator
