#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "operator/observe/source.h"

// What sources answer when there is no value. Pure.
namespace backfill::observe {

inline constexpr std::size_t kMaxDetailBytes = 200;

// Of what somebody else wrote: one line of valid UTF-8 without control characters, of at most
// `bytes` bytes; what was cut off is marked.
std::string Excerpt(std::string_view text, std::size_t bytes = kMaxDetailBytes);

Reply ValueAt(double value, Time measured, std::string_view warning = "");
Reply NoData(Time now, std::string_view detail);
Reply NotANumber(Time now, std::string_view detail);
// The question is at fault, or what it is about.
Reply BadQuestion(Time now, std::string_view detail);
// The provider is at fault.
Reply ProviderFailed(Time now, std::string_view detail);
// Of a request that brought no response.
Reply NotReached(Time now, std::string_view server, const Error& error);

}  // namespace backfill::observe
