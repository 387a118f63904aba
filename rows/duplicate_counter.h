#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace backfill::rows {

// 64 bits that tell keys apart. The same on any machine.
std::uint64_t HashKey(std::string_view key);

struct DuplicateCount {
  std::uint64_t keys = 0;  // how many times a key was one that had been there before
  // Whether that is exact. Else it is extrapolated from the keys of one in `sampled`, which are
  // chosen by their hash, so that all occurrences of a key are in or out.
  bool exact = true;
  std::uint64_t sampled = 1;
};

// Counts repeated keys in fixed memory. A key is kept as 32 bits of its hash in one of up to a
// million buckets of 16, which its other bits choose: two different keys are taken for one with a
// probability of 2^-32 per neighbour, which is once in a hundred files of ten million keys. When
// about twelve million different keys have been seen the table is full: half of them, chosen by
// hash, are dropped and from there on only their half is counted.
//
// One thread.
class DuplicateCounter {
 public:
  // `expected_bytes`: the size of the file, so that a small one takes little memory; 0 if unknown.
  // `max_buckets`, a power of two, is for tests.
  explicit DuplicateCounter(std::uint64_t expected_bytes,
                            std::size_t max_buckets = std::size_t{1} << 20);

  // Fetches what Add(hash) will look at, into the second cache, which waits for more at a time than
  // the first: three times as many a second. Best a hundred calls ahead.
  void Prefetch(std::uint64_t hash) const { __builtin_prefetch(&buckets_[BucketOf(hash)], 0, 2); }
  void Add(std::uint64_t hash);

  [[nodiscard]] DuplicateCount count() const;
  [[nodiscard]] std::size_t bytes() const { return (mask_ + 1) * sizeof(Bucket); }

 private:
  static constexpr std::size_t kSlots = 16;
  struct alignas(64) Bucket {
    std::uint32_t prints[kSlots];  // 0: free
  };
  struct Unmap {
    std::size_t bytes;
    void operator()(Bucket* buckets) const;
  };

  [[nodiscard]] std::size_t BucketOf(std::uint64_t hash) const { return (hash >> 32) & mask_; }
  [[nodiscard]] bool Sampled(std::uint32_t print) const { return (print & sample_mask_) == 0; }
  void AddToOverflow(std::uint64_t hash);
  void HalveSample();

  const std::size_t mask_;
  const std::unique_ptr<Bucket[], Unmap> buckets_;
  const std::size_t max_overflow_;
  // Hashes whose bucket is full: open addressing, 0 is free.
  std::vector<std::uint64_t> overflow_;
  std::size_t overflowed_ = 0;
  std::uint32_t sample_mask_ = 0;
  int halvings_ = 0;
  std::uint64_t duplicates_ = 0;  // in the sample
};

}  // namespace backfill::rows
