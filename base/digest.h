#pragma once

#include <string>
#include <string_view>

namespace backfill {

// SHA-256 of the bytes as 64 lower-case hex digits.
std::string Sha256Hex(std::string_view bytes);

// `bytes` random bytes from the system as lower-case hex. Ends the process if the system has none.
std::string RandomHex(std::size_t bytes);

}  // namespace backfill
