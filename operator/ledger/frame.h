#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

// What chunks and pages have in common on their way to the store: a checksum at the end, and
// compression.
namespace backfill::ledger {

// The largest chunk or page, packed or not. The largest that this program writes is below 1.5 MiB;
// parsing may need 25 times the bytes.
inline constexpr std::size_t kMaxEncodedBytes = std::size_t{2} << 20;

// Appends field 31, fixed32 crc32c, to a serialized message: the CRC of all bytes before it.
std::string Seal(std::string message);

// The bytes that Seal() was given. kInvalid: too long, cut, or another checksum.
Result<std::string_view> Unseal(std::string_view data);

std::string Deflate(std::string_view data);

// kInvalid: no zlib stream, bytes behind its end, or more than kMaxEncodedBytes.
Result<std::string> Inflate(std::string_view data);

}  // namespace backfill::ledger
