#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>

#include "base/clock.h"
#include "base/mutex.h"
#include "operator/kube/cache/list_watch_request.h"
#include "operator/kube/cache/object_cache.h"
#include "operator/kube/cache/watcher.h"
#include "operator/kube/client/api_object.h"
#include "operator/kube/client/http_transport.h"

namespace backfill::kube {

// Returns at that time, or soon after `stop` is requested.
using WaitFunction = std::function<void(Time until, std::stop_token stop)>;
// By the steady clock of the process.
void WaitOnThread(Time until, std::stop_token stop);

struct InformerOptions {
  Selection selection;
  WatcherOptions watcher;
  Duration page_deadline = 60s;
  std::uint64_t seed = 0;  // of the jitter: different in every process
  // With `clock`, how time passes: tests give a clock and a wait that moves it.
  WaitFunction wait = WaitOnThread;
};

struct InformerStats {
  WatcherCounts counts;
  // The last page or line that came, whatever it said; none yet: when the informer started. While
  // the server sends bookmarks, about once a minute, more than a few of these are a dead watch.
  Time last_heard{};
  std::string last_problem;
};

// Keeps an ObjectCache at what a server says of one resource: does for one Watcher what it asks
// for. One thread, which also calls the cache's listeners.
//
// The transport, the clock and the cache must outlive it; two informers need two caches. Failures
// end nothing: they are waited out, counted and logged. Thread-safe but for Start and Stop.
class Informer {
 public:
  Informer(HttpTransport& transport, const Clock& clock, const Resource& resource,
           ObjectCache& cache, InformerOptions options);
  ~Informer();
  Informer(const Informer&) = delete;
  Informer& operator=(const Informer&) = delete;

  void Start();
  // Returns when the thread has ended: as soon as the transport and the listeners let go.
  // Idempotent. An informer does not start again.
  void Stop();

  [[nodiscard]] const ObjectCache& cache() const { return cache_; }
  [[nodiscard]] const ResourceType& type() const { return resource_.type; }
  [[nodiscard]] InformerStats stats() const;

 private:
  // ---- the thread
  void Run(const std::stop_token& stop);
  WatcherInput Ask(const GetPage& page, const std::stop_token& stop);
  std::optional<WatcherAction> Perform(const GetPage& page, const std::stop_token& stop);
  std::optional<WatcherAction> Perform(const StartWatch& watch, const std::stop_token& stop);
  std::optional<WatcherAction> Perform(const WaitUntil& wait, const std::stop_token& stop);
  std::optional<WatcherAction> Step(WatcherInput input);
  void Note(const std::string& problem);

  // ---- constant
  HttpTransport& transport_;
  const Clock& clock_;
  const Resource resource_;
  ObjectCache& cache_;
  const InformerOptions options_;

  // ---- of the thread
  Watcher watcher_;
  std::mt19937_64 random_;
  std::size_t problems_logged_ = 0;  // since the last request

  mutable Mutex mu_;
  InformerStats stats_ GUARDED_BY(mu_);

  std::jthread thread_;  // last: it ends before what it uses
};

}  // namespace backfill::kube
