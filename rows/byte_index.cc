#include "rows/byte_index.h"

#include <algorithm>
#include <bit>

#if defined(__x86_64__)
#if !defined(__clang__)
// g++ 12 takes the undefined registers of its own AVX-512 header for a mistake.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>
#endif

namespace backfill::rows {
namespace {

constexpr std::size_t kSlack = 128;  // positions that may be written behind the last one

void MakeRoom(std::size_t size, const SoughtBytes& sought, Positions& breaks, Positions& marks) {
  breaks.Reserve(size);
  marks.Reserve(sought.marks ? size : 0);
}

#if defined(__x86_64__)
#define BACKFILL_AVX2 __attribute__((target("avx2,bmi,popcnt")))

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
  MakeRoom(size, sought, breaks, marks);
  const __m256i line_break = _mm256_set1_epi8(sought.line_break);
  const __m256i quote = _mm256_set1_epi8(sought.quote);
  const __m256i mark = _mm256_set1_epi8(sought.mark);
  const __m256i backslash = _mm256_set1_epi8('\\');
  const __m256i last_control = _mm256_set1_epi8(0x1F);
  const __m256i del = _mm256_set1_epi8(0x7F);
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
      const __m256i control =
          _mm256_or_si256(_mm256_cmpeq_epi8(_mm256_min_epu8(half[h], last_control), half[h]),
                          _mm256_cmpeq_epi8(half[h], del));
      const __m256i special = _mm256_or_si256(control, _mm256_cmpeq_epi8(half[h], backslash));
      const __m256i wanted = _mm256_or_si256(feed, _mm256_cmpeq_epi8(half[h], mark));
      seen_special = _mm256_or_si256(seen_special, _mm256_andnot_si256(wanted, special));
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

#define BACKFILL_AVX512 __attribute__((target("avx512f,avx512bw,avx512vbmi,avx512vbmi2,popcnt")))

// Writes positions in sixteens, past the last one: more than that in 64 bytes are rare.
BACKFILL_AVX512 inline std::uint32_t* WritePositions512(std::uint64_t bits, std::uint32_t base,
                                                        std::uint32_t* out) {
  constexpr auto kEights = [](std::uint64_t first) {
    return static_cast<long long>(0x0706050403020100 + first * 0x0808080808080808);
  };
  const __m512i all = _mm512_set_epi64(kEights(7), kEights(6), kEights(5), kEights(4), kEights(3),
                                       kEights(2), kEights(1), kEights(0));
  const __m512i from = _mm512_set1_epi32(static_cast<int>(base));
  const __m512i found = _mm512_maskz_compress_epi8(bits, all);
  const auto write = [&](__m128i sixteen, int at) BACKFILL_AVX512 {
    _mm512_storeu_si512(out + at, _mm512_add_epi32(_mm512_cvtepu8_epi32(sixteen), from));
  };
  const int count = std::popcount(bits);
  write(_mm512_castsi512_si128(found), 0);
  if (count > 16) {
    write(_mm512_extracti32x4_epi32(found, 1), 16);
    write(_mm512_extracti32x4_epi32(found, 2), 32);
    write(_mm512_extracti32x4_epi32(found, 3), 48);
  }
  return out + count;
}

BACKFILL_AVX512 IndexedBytes Avx512IndexBytes(const char* data, std::size_t size,
                                              const SoughtBytes& sought, std::uint32_t base,
                                              Positions& breaks, Positions& marks) {
  MakeRoom(size, sought, breaks, marks);
  const __m512i line_break = _mm512_set1_epi8(sought.line_break);
  const __m512i quote = _mm512_set1_epi8(sought.quote);
  const __m512i mark = _mm512_set1_epi8(sought.mark);
  const __m512i backslash = _mm512_set1_epi8('\\');
  const __m512i space = _mm512_set1_epi8(' ');
  const __m512i del = _mm512_set1_epi8(0x7F);
  const bool with_marks = sought.marks;
  std::uint32_t* out_breaks = breaks.at.data() + breaks.found;
  std::uint32_t* out_marks = marks.at.data() + marks.found;
  std::uint64_t special = 0;
  std::uint64_t high = 0;
  for (std::size_t i = 0; i < size; i += 64) {
    std::uint64_t valid = ~std::uint64_t{0};
    if (size - i < 64) valid = (std::uint64_t{1} << (size - i)) - 1;
    const __m512i block = _mm512_loadu_si512(data + i);
    const std::uint64_t feeds = _mm512_cmpeq_epi8_mask(block, line_break);
    high |= valid & static_cast<std::uint64_t>(_mm512_movepi8_mask(block));
    const std::uint64_t marked = _mm512_cmpeq_epi8_mask(block, mark);
    special |= valid & ~feeds & ~marked &
               (_mm512_cmplt_epu8_mask(block, space) | _mm512_cmpeq_epi8_mask(block, del) |
                _mm512_cmpeq_epi8_mask(block, backslash));
    const std::uint32_t at = base + static_cast<std::uint32_t>(i);
    out_breaks =
        WritePositions512(valid & (feeds | _mm512_cmpeq_epi8_mask(block, quote)), at, out_breaks);
    if (with_marks) {
      out_marks = WritePositions512(valid & marked, at, out_marks);
    }
  }
  breaks.found = static_cast<std::size_t>(out_breaks - breaks.at.data());
  marks.found = static_cast<std::size_t>(out_marks - marks.at.data());
  return {.ascii = high == 0, .plain = special == 0};
}
#endif

IndexedBytes PortableIndexBytes(const char* data, std::size_t size, const SoughtBytes& sought,
                                std::uint32_t base, Positions& breaks, Positions& marks) {
  MakeRoom(size, sought, breaks, marks);
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
    const bool special = byte == '\\' || byte < 0x20 || byte == 0x7F;
    if (special && data[i] != sought.line_break && data[i] != sought.mark) result.plain = false;
  }
  return result;
}

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

std::vector<IndexFunction> IndexFunctions() {
  std::vector<IndexFunction> functions;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vbmi2") != 0)
    functions.push_back(&Avx512IndexBytes);
  if (__builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("bmi") != 0)
    functions.push_back(&Avx2IndexBytes);
#endif
  functions.push_back(&PortableIndexBytes);
  return functions;
}

IndexedBytes IndexBytes(const char* data, std::size_t size, const SoughtBytes& sought,
                        std::uint32_t base, Positions& breaks, Positions& marks) {
  static const IndexFunction kFastest = IndexFunctions().front();
  return kFastest(data, size, sought, base, breaks, marks);
}

}  // namespace backfill::rows
