#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "operator/kube/cache/informer.h"
#include "operator/kube/cache/object_cache.h"
#include "operator/kube/client/rest_transport.h"

namespace backfill::kube {

// What a listener is told, held to what it may be told: an object comes before it changes, changes
// before it goes, and goes once.
class HeldToOrder final : public CacheListener {
 public:
  void OnDelta(const Delta& delta) override;

  // What was told out of order; empty: nothing.
  std::vector<std::string> Wrong();
  // How often an object of this name came, and went.
  int Came(const std::string& name);
  int Went(const std::string& name);

 private:
  struct Object {
    std::string uid, version;
  };
  void Judge(const Delta& delta) REQUIRES(mu_);

  Mutex mu_;
  std::map<std::string, Object> there_ GUARDED_BY(mu_);
  std::map<std::string, int> came_ GUARDED_BY(mu_), went_ GUARDED_BY(mu_);
  std::vector<std::string> wrong_ GUARDED_BY(mu_);
};

// An informer of the ConfigMaps that a test makes, over a connection of its own, with the times of
// production made a hundredth: watches of one or two seconds, given up after three.
class Follower {
 public:
  static constexpr int kLongestWatchSeconds = 2;
  static constexpr Duration kGrace = std::chrono::seconds(1);
  // By when a watch that says nothing is over.
  static constexpr Duration kGivesUpWithin = std::chrono::seconds(kLongestWatchSeconds) + kGrace;

  Follower(std::unique_ptr<RestTransport> transport, const Clock& clock, const std::string& ns);

  // Names and versions in the cache.
  [[nodiscard]] std::map<std::string, std::string> Knows() const;
  // Whether the cache comes to this.
  [[nodiscard]] bool ComesToKnow(const std::map<std::string, std::string>& objects,
                                 Duration within) const;
  [[nodiscard]] WatcherCounts counts() const { return informer_.stats().counts; }
  [[nodiscard]] std::string last_problem() const { return informer_.stats().last_problem; }
  [[nodiscard]] bool synced() const { return cache_.HasSynced(); }
  HeldToOrder& told() { return told_; }

 private:
  const std::unique_ptr<RestTransport> transport_;
  HeldToOrder told_;
  ObjectCache cache_;
  Informer informer_;
};

}  // namespace backfill::kube
