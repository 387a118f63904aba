#pragma once

#include <cstddef>

namespace backfill::kube {

// Bytes on the heap of this process right now, as glibc's allocator rounds them up: every `new` of
// the binary is counted.
std::size_t HeapBytes();
// The most there have been since the last call of ResetPeak().
std::size_t PeakHeapBytes();
void ResetPeak();

}  // namespace backfill::kube
