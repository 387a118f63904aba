#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "operator/observe/metric_text.h"

namespace backfill::observe {

// Which series of a target's metrics: http_seconds{route="/orders",code!="200"}.
struct SeriesSelector {
  struct Match {
    std::string label;
    std::string value;
    bool equal = true;
    bool operator==(const Match&) const = default;
  };
  std::string name;
  std::vector<Match> matches;

  // A label that a series does not have is as good as an empty one, as in PromQL.
  [[nodiscard]] bool MatchesLabels(const MetricSample& sample) const;
  bool operator==(const SeriesSelector&) const = default;
};

// kInvalid, with the place in words: what is not a selector, and what PromQL has and this has not
// (regular expressions, ranges, functions). Pure.
Result<SeriesSelector> ParseSeriesSelector(std::string_view text);

// The labels of a series but one, as they stand in a selector: a key for series that differ in that
// one alone, and what people are shown.
std::string LabelsWithout(const MetricSample& sample, std::string_view label);

}  // namespace backfill::observe
