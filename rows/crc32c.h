#pragma once

#include <cstdint>
#include <string_view>

namespace backfill::rows {

// CRC-32C (Castagnoli) of everything so far: `crc` of what came before (0 at the start), then
// `bytes`.
std::uint32_t Crc32c(std::uint32_t crc, std::string_view bytes);

// The CRC of `a` followed by `b`, from the CRC of each and the length of b.
std::uint32_t CombineCrc32c(std::uint32_t a, std::uint32_t b, std::uint64_t b_bytes);

// What Crc32c does on processors without the instruction, for tests.
std::uint32_t PortableCrc32c(std::uint32_t crc, std::string_view bytes);

}  // namespace backfill::rows
