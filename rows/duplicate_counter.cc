#include "rows/duplicate_counter.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdlib>

#include "rows/unaligned.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace backfill::rows {
namespace {

constexpr std::uint64_t kFirst = 0x9E3779B97F4A7C15;
constexpr std::uint64_t kSecond = 0xD6E8FEB86659FD93;
constexpr std::uint64_t kThird = 0xC2B2AE3D27D4EB4F;

std::uint64_t Fold(std::uint64_t a, std::uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

// A file of n bytes has at most about n / 4 keys before they have to be longer.
std::size_t BucketsFor(std::uint64_t bytes, std::size_t most) {
  constexpr std::uint64_t kBytesPerBucket = 32;
  if (bytes == 0 || bytes / kBytesPerBucket >= most) return most;
  return std::min(most, std::bit_ceil(static_cast<std::size_t>(bytes / kBytesPerBucket) + 16));
}

// Anonymous memory is zero and is there only where it is touched; large pages save most misses of
// the address cache.
void* Map(std::size_t bytes) {
  void* const memory =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) std::abort();
  madvise(memory, bytes, MADV_HUGEPAGE);
  return memory;
}

// Bit i: slot i holds `value`.
std::uint32_t Matches(const std::uint32_t* slots, std::uint32_t value) {
#if defined(__SSE2__)
  const __m128i sought = _mm_set1_epi32(static_cast<int>(value));
  const auto four = [&](int i) {
    return _mm_cmpeq_epi32(
        _mm_load_si128(reinterpret_cast<const __m128i*>(slots + std::ptrdiff_t{4} * i)), sought);
  };
  const __m128i eight = _mm_packs_epi32(four(0), four(1));
  const __m128i other = _mm_packs_epi32(four(2), four(3));
  return static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_packs_epi16(eight, other)));
#else
  std::uint32_t found = 0;
  for (int i = 0; i < 16; ++i) found |= static_cast<std::uint32_t>(slots[i] == value) << i;
  return found;
#endif
}

// Never 0, and as even spread in its low bits as the hash.
std::uint32_t PrintOf(std::uint64_t hash) {
  const auto print = static_cast<std::uint32_t>(hash);
  return print == 0 ? 0x80000000 : print;
}

}  // namespace

std::uint64_t HashKey(std::string_view key) {
  const char* p = key.data();
  std::size_t left = key.size();
  std::uint64_t hash = kThird ^ left;
  for (; left > 16; left -= 8, p += 8) hash = Fold(LoadUnaligned<std::uint64_t>(p) ^ kSecond, hash);
  // Each word goes in by a step of its own: the product of two that are alike collides.
  std::uint64_t last = 0;
  if (left > 8) {
    hash = Fold(LoadUnaligned<std::uint64_t>(p) ^ kSecond, hash);
    last = LoadUnaligned<std::uint64_t>(p + left - 8);
  } else if (left >= 4) {
    last = LoadUnaligned<std::uint32_t>(p) |
           std::uint64_t{LoadUnaligned<std::uint32_t>(p + left - 4)} << 32;
  } else {
    for (; left > 0; --left, ++p) last = (last << 8) | static_cast<unsigned char>(*p);
  }
  return Fold(Fold(last ^ kSecond, hash ^ kFirst), kThird);
}

void DuplicateCounter::Unmap::operator()(Bucket* buckets) const { munmap(buckets, bytes); }

DuplicateCounter::DuplicateCounter(std::uint64_t expected_bytes, std::size_t max_buckets)
    : mask_(BucketsFor(expected_bytes, max_buckets) - 1),
      buckets_(static_cast<Bucket*>(Map(bytes())), Unmap{bytes()}),
      max_overflow_((mask_ + 1) / 8) {}

void DuplicateCounter::Add(std::uint64_t hash) {
  const std::uint32_t print = PrintOf(hash);
  if (!Sampled(print)) return;
  Bucket& bucket = buckets_[BucketOf(hash)];
  if (Matches(bucket.prints, print) != 0) {
    ++duplicates_;
    return;
  }
  const std::uint32_t free = Matches(bucket.prints, 0);
  if (free == 0) return AddToOverflow(hash);
  bucket.prints[std::countr_zero(free)] = print;
}

void DuplicateCounter::AddToOverflow(std::uint64_t hash) {
  if (overflow_.empty()) overflow_.resize(2 * std::bit_ceil(max_overflow_ + 2));
  const std::uint64_t kept = hash == 0 ? 1 : hash;
  std::size_t at = Fold(kept, kFirst) & (overflow_.size() - 1);
  for (; overflow_[at] != 0; at = (at + 1) & (overflow_.size() - 1)) {
    if (overflow_[at] == kept) {
      ++duplicates_;
      return;
    }
  }
  overflow_[at] = kept;
  if (++overflowed_ > max_overflow_) HalveSample();
}

// Drops the keys whose next bit is set. What was counted of them goes with them by half, which is
// what they were on average.
void DuplicateCounter::HalveSample() {
  sample_mask_ |= std::uint32_t{1} << halvings_++;
  duplicates_ /= 2;
  for (std::size_t i = 0; i <= mask_; ++i) {
    std::uint32_t* const prints = buckets_[i].prints;
    std::uint32_t* const end = std::remove_if(
        prints, prints + kSlots, [this](std::uint32_t p) { return p == 0 || !Sampled(p); });
    std::fill(end, prints + kSlots, 0U);
  }
  std::vector<std::uint64_t> overflow;
  overflow.swap(overflow_);
  overflowed_ = 0;
  for (const std::uint64_t hash : overflow) {
    if (hash == 0 || !Sampled(PrintOf(hash))) continue;
    // Where there is room now it goes to its bucket; it was counted when it came.
    std::uint32_t* const prints = buckets_[BucketOf(hash)].prints;
    if (const std::uint32_t free = Matches(prints, 0); free != 0) {
      prints[std::countr_zero(free)] = PrintOf(hash);
    } else {
      AddToOverflow(hash);
    }
  }
}

DuplicateCount DuplicateCounter::count() const {
  const std::uint64_t sampled = std::uint64_t{1} << halvings_;
  return {.keys = duplicates_ * sampled, .exact = halvings_ == 0, .sampled = sampled};
}

}  // namespace backfill::rows
