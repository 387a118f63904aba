#pragma once

#include <chrono>
#include <cstddef>
#include <map>

#include "base/clock.h"
#include "operator/kube/client/api_object.h"
#include "operator/kube/client/token_bucket.h"

namespace backfill::kube {

// When a key that failed is tried again: 5 ms, doubled with each failure up to 60 s, and all keys
// together 10 a second after a burst of 100 (R16; client-go's DefaultControllerRateLimiter).
// Without the second bound, one fault that all objects share would be repeated as fast as there are
// objects. Pure, not thread-safe.
class KeyBackoff {
 public:
  struct Options {
    Duration first = std::chrono::milliseconds(5);
    Duration longest = std::chrono::seconds(60);
    Duration interval = std::chrono::milliseconds(100);  // between tries of all keys
    int burst = 100;
    std::size_t max_keys = 100'000;  // failures of more keys wait the longest time
  };

  explicit KeyBackoff(const Options& options)
      : options_(options), bucket_(options.interval, options.burst) {}

  // After a failure: how long to wait.
  Duration Next(const ObjectKey& key, Time now);
  // After a success.
  void Forget(const ObjectKey& key) { failures_.erase(key); }

  // Since the last success.
  [[nodiscard]] int failures(const ObjectKey& key) const;
  [[nodiscard]] std::size_t size() const { return failures_.size(); }

 private:
  [[nodiscard]] Duration OfFailure(int earlier) const;

  const Options options_;
  TokenBucket bucket_;
  std::map<ObjectKey, int> failures_;
};

}  // namespace backfill::kube
