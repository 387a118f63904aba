#include "rows/crc32c.h"

#include <array>
#include <bit>
#include <cstddef>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#include <wmmintrin.h>
#endif

namespace backfill::rows {
namespace {

constexpr std::uint32_t kPolynomial = 0x82F63B78;  // reflected
constexpr std::uint32_t kOne = 0x80000000;         // x^0, reflected

// a * b modulo the polynomial, over GF(2).
constexpr std::uint32_t Multiply(std::uint32_t a, std::uint32_t b) {
  std::uint32_t product = 0;
  for (std::uint32_t bit = kOne; bit != 0; bit >>= 1) {
    if ((a & bit) != 0) product ^= b;
    b = (b & 1) != 0 ? (b >> 1) ^ kPolynomial : b >> 1;
  }
  return product;
}

// x^(2^n), for every bit of a length in bits.
constexpr std::array<std::uint32_t, 67> MakePowers() {
  std::array<std::uint32_t, 67> powers{};
  powers[0] = kOne >> 1;
  for (std::size_t n = 1; n < powers.size(); ++n)
    powers[n] = Multiply(powers[n - 1], powers[n - 1]);
  return powers;
}
constexpr auto kPowers = MakePowers();

// x^bits.
constexpr std::uint32_t Power(std::uint64_t bits) {
  std::uint32_t power = kOne;
  for (std::size_t n = 0; bits != 0; ++n, bits >>= 1) {
    if ((bits & 1) != 0) power = Multiply(kPowers[n], power);
  }
  return power;
}

// What `bytes` of zeros do to a CRC.
constexpr std::uint32_t Shift(std::uint64_t bytes) { return Power(8 * bytes); }

// Eight tables: eight bytes a step.
using Tables = std::array<std::array<std::uint32_t, 256>, 8>;
constexpr Tables MakeTables() {
  Tables t{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int i = 0; i < 8; ++i) crc = (crc & 1) != 0 ? (crc >> 1) ^ kPolynomial : crc >> 1;
    t[0][byte] = crc;
  }
  for (std::size_t byte = 0; byte < 256; ++byte) {
    for (std::size_t k = 1; k < 8; ++k)
      t[k][byte] = (t[k - 1][byte] >> 8) ^ t[0][t[k - 1][byte] & 0xFF];
  }
  return t;
}
constexpr Tables kTables = MakeTables();

std::uint64_t Load64(const char* p) {
  std::uint64_t word = 0;
  std::memcpy(&word, p, sizeof word);
  return word;
}

#if defined(__x86_64__)
#define BACKFILL_CRC __attribute__((target("sse4.2,pclmul")))

// crc * x^(8 * kBytes), without the last reduction: the product of two reflected numbers is one
// x too low, and _mm_crc32_u64() multiplies by x^32 on the way.
template <std::uint64_t kBytes>
BACKFILL_CRC inline std::uint64_t Shifted(std::uint64_t crc) {
  constexpr std::uint32_t kBy = Power(8 * kBytes - 33);
  const __m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128(static_cast<long long>(crc)),
                                               _mm_cvtsi32_si128(static_cast<int>(kBy)), 0);
  return static_cast<std::uint64_t>(_mm_cvtsi128_si64(product));
}

// The instruction takes three cycles and one can start in each, so three lanes run side by side.
template <std::size_t kLane>
BACKFILL_CRC inline std::uint64_t CrcInLanes(std::uint64_t crc, const char*& p, std::size_t& left) {
  for (; left >= 3 * kLane; left -= 3 * kLane, p += 3 * kLane) {
    std::uint64_t b = 0;
    std::uint64_t c = 0;
    for (std::size_t i = 0; i < kLane; i += 8) {
      crc = _mm_crc32_u64(crc, Load64(p + i));
      b = _mm_crc32_u64(b, Load64(p + kLane + i));
      c = _mm_crc32_u64(c, Load64(p + 2 * kLane + i));
    }
    crc = _mm_crc32_u64(0, Shifted<2 * kLane>(crc) ^ Shifted<kLane>(b)) ^ c;
  }
  return crc;
}

BACKFILL_CRC std::uint32_t HardwareCrc32c(std::uint32_t crc, std::string_view bytes) {
  const char* p = bytes.data();
  std::size_t left = bytes.size();
  std::uint64_t a = static_cast<std::uint32_t>(~crc);
  a = CrcInLanes<1024>(a, p, left);
  a = CrcInLanes<128>(a, p, left);
  for (; left >= 8; left -= 8, p += 8) a = _mm_crc32_u64(a, Load64(p));
  auto rest = static_cast<std::uint32_t>(a);
  for (; left > 0; --left, ++p) rest = _mm_crc32_u8(rest, static_cast<unsigned char>(*p));
  return ~rest;
}
#endif

}  // namespace

std::uint32_t PortableCrc32c(std::uint32_t crc, std::string_view bytes) {
  const char* p = bytes.data();
  std::size_t left = bytes.size();
  crc = ~crc;
  if constexpr (std::endian::native == std::endian::little) {
    for (; left >= 8; left -= 8, p += 8) {
      const std::uint64_t word = Load64(p) ^ crc;
      crc = 0;
      for (std::size_t k = 0; k < 8; ++k) crc ^= kTables[7 - k][(word >> (8 * k)) & 0xFF];
    }
  }
  for (; left > 0; --left, ++p)
    crc = (crc >> 8) ^ kTables[0][(crc ^ static_cast<unsigned char>(*p)) & 0xFF];
  return ~crc;
}

std::uint32_t Crc32c(std::uint32_t crc, std::string_view bytes) {
#if defined(__x86_64__)
  static const bool kHardware =
      __builtin_cpu_supports("sse4.2") != 0 && __builtin_cpu_supports("pclmul") != 0;
  if (kHardware) return HardwareCrc32c(crc, bytes);
#endif
  return PortableCrc32c(crc, bytes);
}

std::uint32_t CombineCrc32c(std::uint32_t a, std::uint32_t b, std::uint64_t b_bytes) {
  return Multiply(Shift(b_bytes), a) ^ b;
}

}  // namespace backfill::rows
