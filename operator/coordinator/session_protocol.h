#pragma once

#include <cstdint>

namespace backfill::coordinator {

// Of proto/backfill/v1. One older and one newer are spoken with, too.
inline constexpr std::uint32_t kProtocolVersion = 1;

}  // namespace backfill::coordinator
