#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

// Numbers and times as people read and write them. Pure.
namespace backfill::cli {

std::string Grouped(std::uint64_t n);                        // 10,000,000
std::string Grouped(std::int64_t n);                         // -1,000
std::string PerSecond(double rate);                          // 4,980/s; 0.5/s below ten
std::string Plural(std::uint64_t n, std::string_view noun);  // 1 record, 2,000 records

// The two largest units: 2 d 3 h, 33 min 20 s, 4 s, 250 ms. "more than 10 years" above that.
std::string Lasting(double seconds);

// 90s, 10m, 1h30m, 500ms, as in the resource. kInvalid says what is allowed.
Result<Duration> ParseDuration(std::string_view text);

}  // namespace backfill::cli
