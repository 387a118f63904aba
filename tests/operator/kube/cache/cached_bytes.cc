#include "tests/operator/kube/cache/cached_bytes.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<std::size_t> now{0};
std::atomic<std::size_t> peak{0};

// In front of each block its size, so that sanitizers, whose blocks are larger, change no figure.
constexpr std::size_t kHead = 16;

// glibc: a word in front of each block, sizes in steps of 16, at least 32.
std::size_t Rounded(std::size_t size) {
  return std::max<std::size_t>(32, (size + 8 + 15) / 16 * 16);
}

void* Allocate(std::size_t size) {
  auto* block = static_cast<std::size_t*>(std::malloc(size + kHead));
  if (block == nullptr) std::abort();
  *block = size;
  const std::size_t total = now.fetch_add(Rounded(size)) + Rounded(size);
  std::size_t most = peak.load();
  while (most < total && !peak.compare_exchange_weak(most, total)) {
  }
  return reinterpret_cast<char*>(block) + kHead;
}

void Free(void* p) noexcept {
  if (p == nullptr) return;
  auto* block = reinterpret_cast<std::size_t*>(static_cast<char*>(p) - kHead);
  now.fetch_sub(Rounded(*block));
  std::free(block);
}

}  // namespace

void* operator new(std::size_t size) { return Allocate(size); }
void* operator new[](std::size_t size) { return Allocate(size); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return Allocate(size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return Allocate(size); }
void operator delete(void* p) noexcept { Free(p); }
void operator delete[](void* p) noexcept { Free(p); }
void operator delete(void* p, std::size_t) noexcept { Free(p); }
void operator delete[](void* p, std::size_t) noexcept { Free(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { Free(p); }
void operator delete[](void* p, const std::nothrow_t&) noexcept { Free(p); }

namespace backfill::kube {

std::size_t HeapBytes() { return now.load(); }
std::size_t PeakHeapBytes() { return peak.load(); }
void ResetPeak() { peak = now.load(); }

}  // namespace backfill::kube
