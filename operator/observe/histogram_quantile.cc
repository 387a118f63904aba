#include "operator/observe/histogram_quantile.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace backfill::observe {

double HistogramQuantile(double q, std::span<Bucket> buckets) {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  const auto is_nan = [](const Bucket& b) { return std::isnan(b.upper) || std::isnan(b.count); };
  if (std::isnan(q) || std::ranges::any_of(buckets, is_nan)) return kNone;
  std::ranges::sort(buckets, {}, &Bucket::upper);
  std::size_t n = 0;
  for (const Bucket& b : buckets) {
    if (n > 0 && buckets[n - 1].upper == b.upper) {
      buckets[n - 1].count += b.count;
    } else {
      buckets[n++] = b;
    }
  }
  buckets = buckets.first(n);
  if (n < 2 || buckets.back().upper != std::numeric_limits<double>::infinity()) return kNone;
  for (std::size_t i = 1; i < n; ++i)
    buckets[i].count = std::max(buckets[i].count, buckets[i - 1].count);

  const double total = buckets.back().count;
  if (!(total > 0)) return kNone;
  if (q < 0) return -std::numeric_limits<double>::infinity();
  if (q > 1) return std::numeric_limits<double>::infinity();
  const double rank = q * total;
  std::size_t at = 0;
  while (at < n - 1 && buckets[at].count < rank) ++at;
  if (at == n - 1) return buckets[n - 2].upper;
  if (at == 0 && buckets[0].upper <= 0) return buckets[0].upper;
  const double lower = at == 0 ? 0 : buckets[at - 1].upper;
  const double below = at == 0 ? 0 : buckets[at - 1].count;
  const double inside = buckets[at].count - below;
  if (!(inside > 0)) return buckets[at].upper;  // q = 0 of a bucket without anything in it
  return lower + (buckets[at].upper - lower) * ((rank - below) / inside);
}

}  // namespace backfill::observe
