#pragma once

#include <string>

#include "base/clock.h"

namespace backfill::throttle {

// What became of asking for a metric. Nothing but kValue is a number, and nothing is ever made into
// one.
enum class Answer {
  kValue,
  kNoData,      // an answer without a series
  kNotANumber,  // NaN or infinite
  kError,       // no usable answer: unreachable, refused, more than one series, not understood
};

// What a source last said about a budget. A source replaces it with each answer; as long as it has
// had none, it is this default.
struct Observation {
  Answer answer = Answer::kError;
  double value = 0;  // of kValue only
  // kValue: when the value was measured, not when it was asked for, as far as the source can tell.
  // Else when the answer came.
  Time time{};
  std::string detail = "no answer yet";  // for people; no secrets. Empty for a value.

  bool operator==(const Observation&) const = default;
};

}  // namespace backfill::throttle
