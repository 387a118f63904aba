#include "rows/byte_index.h"

#include <bit>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace backfill::rows {
namespace {

#if defined(__x86_64__)
#define BACKFILL_AVX2 __attribute__((target("avx2,bmi,bmi2,popcnt")))

BACKFILL_AVX2 inline std::uint64_t Mask(__m256i low, __m256i high) {
  const auto l = static_cast<std::uint32_t>(_mm256_movemask_epi8(low));
  const auto h = static_cast<std::uint32_t>(_mm256_movemask_epi8(high));
  return (std::uint64_t{h} << 32) | l;
}

BACKFILL_AVX2 inline __m256i Any(__m256i bytes, __m256i a, __m256i b, __m256i c) {
  return _mm256_or_si256(_mm256_or_si256(_mm256_cmpeq_epi8(bytes, a), _mm256_cmpeq_epi8(bytes, b)),
                         _mm256_cmpeq_epi8(bytes, c));
}

// Writes positions in fours, past the last one, so that the branches depend on rough counts only.
BACKFILL_AVX2 inline std::uint32_t* WritePositions(std::uint64_t bits, std::uint32_t base,
                                                   std::uint32_t* out) {
  std::uint32_t* const end = out + std::popcount(bits);
  while (out < end) {
    for (int i = 0; i < 4; ++i) {
      out[i] = base + static_cast<std::uint32_t>(_tzcnt_u64(bits));
      bits = _blsr_u64(bits);
    }
    out += 4;
  }
  return end;
}

BACKFILL_AVX2 IndexResult Avx2IndexBytes(const char* data, std::size_t size, SoughtBytes sought,
                                         std::uint32_t base, std::uint32_t* out) {
  const __m256i a = _mm256_set1_epi8(sought.a);
  const __m256i b = _mm256_set1_epi8(sought.b);
  const __m256i c = _mm256_set1_epi8(sought.c);
  std::uint32_t* const begin = out;
  std::uint64_t high_bits = 0;
  for (std::size_t i = 0; i < size; i += 64) {
    const auto* p = reinterpret_cast<const __m256i*>(data + i);
    const __m256i low = _mm256_loadu_si256(p);
    const __m256i high = _mm256_loadu_si256(p + 1);
    std::uint64_t bits = Mask(Any(low, a, b, c), Any(high, a, b, c));
    std::uint64_t not_ascii = Mask(low, high);
    if (size - i < 64) {
      const std::uint64_t valid = (std::uint64_t{1} << (size - i)) - 1;
      bits &= valid;
      not_ascii &= valid;
    }
    high_bits |= not_ascii;
    out = WritePositions(bits, base + static_cast<std::uint32_t>(i), out);
  }
  return {.found = static_cast<std::size_t>(out - begin), .ascii = high_bits == 0};
}
#endif

}  // namespace

IndexResult PortableIndexBytes(const char* data, std::size_t size, SoughtBytes sought,
                               std::uint32_t base, std::uint32_t* out) {
  IndexResult result;
  unsigned char seen = 0;
  for (std::size_t i = 0; i < size; ++i) {
    const char byte = data[i];
    seen = static_cast<unsigned char>(seen | static_cast<unsigned char>(byte));
    // Written always, kept if it counts: no branch.
    out[result.found] = base + static_cast<std::uint32_t>(i);
    result.found +=
        static_cast<std::size_t>(byte == sought.a || byte == sought.b || byte == sought.c);
  }
  result.ascii = seen < 0x80;
  return result;
}

IndexResult IndexBytes(const char* data, std::size_t size, SoughtBytes sought, std::uint32_t base,
                       std::uint32_t* out) {
#if defined(__x86_64__)
  static const bool kAvx2 = __builtin_cpu_supports("avx2") != 0 &&
                            __builtin_cpu_supports("bmi") != 0 &&
                            __builtin_cpu_supports("bmi2") != 0;
  if (kAvx2) return Avx2IndexBytes(data, size, sought, base, out);
#endif
  return PortableIndexBytes(data, size, sought, base, out);
}

}  // namespace backfill::rows
