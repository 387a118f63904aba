#include "rows/crc32c.h"

#include <array>
#include <bit>
#include <cstddef>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace backfill::rows {
namespace {

constexpr std::uint32_t kPolynomial = 0x82F63B78;  // reflected
constexpr std::uint32_t kOne = 0x80000000;         // x^0, reflected
constexpr std::size_t kLane = 4096;

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

// x^(8 * bytes): what `bytes` of zeros do to a CRC.
constexpr std::uint32_t Shift(std::uint64_t bytes) {
  std::uint32_t shift = kOne;
  for (std::size_t n = 3; bytes != 0; ++n, bytes >>= 1) {
    if ((bytes & 1) != 0) shift = Multiply(kPowers[n], shift);
  }
  return shift;
}

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
// The instruction takes three cycles and one can start in each, so three lanes run side by side.
__attribute__((target("sse4.2"))) std::uint32_t HardwareCrc32c(std::uint32_t crc,
                                                               std::string_view bytes) {
  constexpr std::uint32_t kOverOne = Shift(kLane);
  constexpr std::uint32_t kOverTwo = Shift(2 * kLane);
  const char* p = bytes.data();
  std::size_t left = bytes.size();
  std::uint64_t a = ~crc;
  for (; left >= 3 * kLane; left -= 3 * kLane, p += 3 * kLane) {
    std::uint64_t b = 0;
    std::uint64_t c = 0;
    for (std::size_t i = 0; i < kLane; i += 8) {
      a = _mm_crc32_u64(a, Load64(p + i));
      b = _mm_crc32_u64(b, Load64(p + kLane + i));
      c = _mm_crc32_u64(c, Load64(p + 2 * kLane + i));
    }
    a = Multiply(kOverTwo, static_cast<std::uint32_t>(a)) ^
        Multiply(kOverOne, static_cast<std::uint32_t>(b)) ^ c;
  }
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
  static const bool kHardware = __builtin_cpu_supports("sse4.2") != 0;
  if (kHardware) return HardwareCrc32c(crc, bytes);
#endif
  return PortableCrc32c(crc, bytes);
}

std::uint32_t CombineCrc32c(std::uint32_t a, std::uint32_t b, std::uint64_t b_bytes) {
  return Multiply(Shift(b_bytes), a) ^ b;
}

}  // namespace backfill::rows
