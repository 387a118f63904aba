#include "rows/byte_index.h"

#include <algorithm>
#include <bit>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace backfill::rows {
namespace {

constexpr std::size_t kSlack = 64;  // positions that may be written behind the last one

#if defined(__x86_64__)
#define BACKFILL_AVX2 __attribute__((target("avx2,bmi,bmi2,popcnt")))

BACKFILL_AVX2 inline std::uint64_t Mask(__m256i low, __m256i high) {
  const auto l = static_cast<std::uint32_t>(_mm256_movemask_epi8(low));
  const auto h = static_cast<std::uint32_t>(_mm256_movemask_epi8(high));
  return (std::uint64_t{h} << 32) | l;
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

BACKFILL_AVX2 IndexedBytes Avx2IndexBytes(const char* data, std::size_t size,
                                          const SoughtBytes& sought, std::uint32_t base,
                                          Positions& breaks, Positions& marks) {
  const __m256i line_break = _mm256_set1_epi8(sought.line_break);
  const __m256i quote = _mm256_set1_epi8(sought.quote);
  const __m256i mark = _mm256_set1_epi8(sought.mark);
  const __m256i backslash = _mm256_set1_epi8('\\');
  const __m256i last_control = _mm256_set1_epi8(0x1F);
  const bool with_marks = sought.marks;
  std::uint32_t* out_breaks = breaks.at.data() + breaks.found;
  std::uint32_t* out_marks = marks.at.data() + marks.found;
  __m256i seen_special = _mm256_setzero_si256();
  __m256i seen_high = _mm256_setzero_si256();
  for (std::size_t i = 0; i < size; i += 64) {
    const auto* p = reinterpret_cast<const __m256i*>(data + i);
    __m256i half[2] = {_mm256_loadu_si256(p), _mm256_loadu_si256(p + 1)};
    std::uint64_t valid = ~std::uint64_t{0};
    if (size - i < 64) valid = (std::uint64_t{1} << (size - i)) - 1;
    __m256i broken[2];
    for (int h = 0; h < 2; ++h) {
      const __m256i feed = _mm256_cmpeq_epi8(half[h], line_break);
      broken[h] = _mm256_or_si256(feed, _mm256_cmpeq_epi8(half[h], quote));
      // Beyond `size` this may see what is not there, which costs a closer look later.
      seen_high = _mm256_or_si256(seen_high, half[h]);
      const __m256i control = _mm256_cmpeq_epi8(_mm256_min_epu8(half[h], last_control), half[h]);
      seen_special =
          _mm256_or_si256(seen_special, _mm256_or_si256(_mm256_andnot_si256(feed, control),
                                                        _mm256_cmpeq_epi8(half[h], backslash)));
    }
    const std::uint32_t at = base + static_cast<std::uint32_t>(i);
    out_breaks = WritePositions(Mask(broken[0], broken[1]) & valid, at, out_breaks);
    if (with_marks) {
      const std::uint64_t marked =
          Mask(_mm256_cmpeq_epi8(half[0], mark), _mm256_cmpeq_epi8(half[1], mark));
      out_marks = WritePositions(marked & valid, at, out_marks);
    }
  }
  breaks.found = static_cast<std::size_t>(out_breaks - breaks.at.data());
  marks.found = static_cast<std::size_t>(out_marks - marks.at.data());
  return {.ascii = _mm256_movemask_epi8(seen_high) == 0,
          .plain = _mm256_testz_si256(seen_special, seen_special) != 0};
}
#endif

}  // namespace

void Positions::Reserve(std::size_t more) {
  if (at.size() < found + more + kSlack) at.resize(2 * (found + more) + kSlack);
}

void Positions::Drop(std::size_t count) {
  if (count == 0) return;
  const auto begin = at.begin();
  std::copy(begin + static_cast<std::ptrdiff_t>(count), begin + static_cast<std::ptrdiff_t>(found),
            begin);
  found -= count;
  read -= count;
}

IndexedBytes PortableIndexBytes(const char* data, std::size_t size, const SoughtBytes& sought,
                                std::uint32_t base, Positions& breaks, Positions& marks) {
  breaks.Reserve(size);
  marks.Reserve(sought.marks ? size : 0);
  IndexedBytes result;
  for (std::size_t i = 0; i < size; ++i) {
    const auto byte = static_cast<unsigned char>(data[i]);
    const std::uint32_t at = base + static_cast<std::uint32_t>(i);
    // Written always, kept if it counts: no branch.
    breaks.at[breaks.found] = at;
    breaks.found +=
        static_cast<std::size_t>(data[i] == sought.line_break || data[i] == sought.quote);
    if (sought.marks) {
      marks.at[marks.found] = at;
      marks.found += static_cast<std::size_t>(data[i] == sought.mark);
    }
    if (byte >= 0x80) result.ascii = false;
    if (byte == '\\' || (byte < 0x20 && data[i] != sought.line_break)) result.plain = false;
  }
  return result;
}

IndexedBytes IndexBytes(const char* data, std::size_t size, const SoughtBytes& sought,
                        std::uint32_t base, Positions& breaks, Positions& marks) {
#if defined(__x86_64__)
  static const bool kAvx2 = __builtin_cpu_supports("avx2") != 0 &&
                            __builtin_cpu_supports("bmi") != 0 &&
                            __builtin_cpu_supports("bmi2") != 0;
  if (kAvx2) {
    breaks.Reserve(size);
    marks.Reserve(sought.marks ? size : 0);
    return Avx2IndexBytes(data, size, sought, base, breaks, marks);
  }
#endif
  return PortableIndexBytes(data, size, sought, base, breaks, marks);
}

}  // namespace backfill::rows
