#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/clock.h"
#include "operator/identity/pod_claim.h"

namespace backfill::identity {

struct ReviewCacheOptions {
  Duration accepted = std::chrono::seconds(60);  // and not past the token's own end
  Duration refused = std::chrono::seconds(10);
  std::size_t entries = 10'000;
};

// What the API server has said of tokens, by their digest: the tokens themselves are not kept.
// Pure: the time is an argument. When full, the one that was learned first is forgotten.
class ReviewCache {
 public:
  using Review = Result<PodClaim, Refused>;

  explicit ReviewCache(const ReviewCacheOptions& options) : options_(options) {}

  [[nodiscard]] std::optional<Review> Find(const std::string& digest, Time now) const;
  // `valid`: so long the token lives; nullopt: it does not say.
  void Learn(const std::string& digest, const Review& review, std::optional<Duration> valid,
             Time now);

  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    Review review;
    Time until;
    std::uint64_t learned;
  };
  void Forget(std::map<std::string, Entry>::iterator it);

  const ReviewCacheOptions options_;
  std::map<std::string, Entry> entries_;
  std::map<std::uint64_t, std::string> order_;  // by Entry::learned
  std::uint64_t learned_ = 0;
};

}  // namespace backfill::identity
