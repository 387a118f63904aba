#pragma once

#include <span>

namespace backfill::observe {

// A bucket of a histogram as Prometheus has them: how many were at most `upper`. Growth over a time
// will do as well.
struct Bucket {
  double upper = 0;  // +Inf for the last one
  double count = 0;
};

// The value below which a share `q` of what was observed lies, as Prometheus' histogram_quantile
// estimates it for classic histograms: linear between the bounds of a bucket, the lowest one
// beginning at 0; the highest finite bound for what lies above it. Counts that fall from a bucket
// to a higher one (a scrape between two increments) count as the highest so far.
//
// Sorts `buckets` and merges equal bounds in place. NaN: nothing was observed, there is no bucket
// +Inf or no other one, or a bound is NaN. Pure.
double HistogramQuantile(double q, std::span<Bucket> buckets);

}  // namespace backfill::observe
