#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <random>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "operator/kube/client/api_error.h"
#include "operator/kube/client/api_object.h"
#include "operator/kube/client/http_transport.h"

namespace backfill::kube {

// Counts changes of objects of some kinds on an API server, by a watch per kind. It may count one
// twice (a relist counts as a change, as nobody knows what happened), never none: whoever reads
// after a count sees what was counted.
//
// Thread-safe. The watches begin with the first Wait(), each on a thread of its own, and end with
// the counter. Transport and clock must outlive it.
class ChangeCounter {
 public:
  struct Options {
    std::string ns;  // "": of all namespaces
    std::chrono::milliseconds call_timeout{10'000};
    std::chrono::milliseconds first_backoff{800};  // R5
    std::chrono::milliseconds max_backoff{30'000};
  };
  ChangeCounter(HttpTransport& transport, const Clock& clock, std::vector<ResourceType> kinds,
                Options options);
  ~ChangeCounter();
  ChangeCounter(const ChangeCounter&) = delete;
  ChangeCounter& operator=(const ChangeCounter&) = delete;

  // Returns as soon as the count differs from `seen`, at `deadline` or on stop, whichever is first;
  // the first call also waits for the watches to have a version to begin from, at most as long as
  // calls may take. Errors: those of a list, if the watches could not begin.
  Result<std::uint64_t> Wait(std::uint64_t seen, Time deadline, std::stop_token stop);

  // A write of our own, by the version that it gave: its event is not counted again. A kind that is
  // not watched is counted here alone.
  void CountWrite(std::string_view kind, std::string_view version);
  // A write whose version nobody has told us.
  void CountWrite();

 private:
  struct Watched {
    ResourceType type;
    std::string version;       // of its thread: the watch goes on from here
    std::uint64_t newest = 0;  // guarded by mu_: the newest version that was counted
    std::string last;          // guarded by mu_: if versions are no numbers
  };
  enum class State { kIdle, kStarting, kRunning };

  Status Begin(const std::stop_token& stop);
  ApiResult<std::string> ListVersion(const ResourceType& type, const std::stop_token& stop);
  void Run(Watched& watched, const std::stop_token& stop);
  // Whether to list again before the next watch.
  bool WatchOnce(Watched& watched, const std::stop_token& stop, bool& progress,
                 std::optional<std::chrono::milliseconds>& retry_after);
  void Count(Watched& watched, std::string_view version) REQUIRES(mu_);
  void Pause(Duration wait, const std::stop_token& stop);
  Duration Jittered(Duration wait);
  std::chrono::seconds WatchSeconds();

  HttpTransport& transport_;
  const Clock& clock_;
  const Options options_;

  Mutex mu_;
  std::condition_variable_any changed_;
  State state_ GUARDED_BY(mu_) = State::kIdle;
  std::uint64_t count_ GUARDED_BY(mu_) = 1;
  std::mt19937 random_ GUARDED_BY(mu_){std::random_device{}()};
  std::vector<Watched> watched_;       // its size is constant
  std::vector<std::jthread> threads_;  // last: they use the rest; set by Begin()
};

}  // namespace backfill::kube
