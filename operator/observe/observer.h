#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/result.h"
#include "operator/observe/poll_schedule.h"
#include "operator/observe/query.h"
#include "operator/observe/source_factory.h"
#include "operator/throttle/observation.h"

namespace backfill::observe {

// One metric that somebody wants to know, and how often.
struct Wanted {
  Query query;
  Duration interval = std::chrono::seconds(10);
};

struct ObserverOptions {
  PollOptions polling = {};  // `max_in_flight` is the number of threads
  Duration shortest_interval = std::chrono::milliseconds(250);
  // Of all owners together. What goes beyond is refused, not observed less often.
  std::size_t max_questions = 4096;
  std::size_t max_per_owner = 32;
  std::uint64_t seed = 0;  // of the jitter: different in every process
};

struct ObserverFigures {
  std::size_t questions = 0;
  int in_flight = 0;
  std::uint64_t asked = 0;
  std::uint64_t failed = 0;  // by a fault of the provider
};

// Keeps the latest observation of every metric that is wanted. Equal queries are one question,
// asked as often as the most impatient owner wants. Few threads ask them all; none belongs to a
// budget, and one provider that hangs does not keep them from the others (PollSchedule).
//
// Thread-safe. No lock is held while a source is asked or `on_observed` runs. The references must
// outlive it; Stop() before they go.
class Observer {
 public:
  // `on_observed`, if there is one, is told on a thread of the observer whose question was
  // answered. It must return soon, and may call back.
  using OnObserved = std::function<void(const std::string& owner)>;

  Observer(SourceFactory& sources, const Clock& clock, const ObserverOptions& options,
           OnObserved on_observed = {});
  ~Observer();
  Observer(const Observer&) = delete;
  Observer& operator=(const Observer&) = delete;

  void Start();
  // Ends what is under way and joins. Idempotent; not to be called by `on_observed`.
  void Stop();

  // What `owner` wants from now on, in place of what it wanted before; nothing: it is gone. Level-
  // based: to say the same again changes nothing. New questions are asked at once. A query that can
  // never be asked is observed as kError, with the reason. kUnavailable: too many; all is as
  // before.
  Status Watch(const std::string& owner, const std::vector<Wanted>& wanted);

  // In the order of what is wanted. Of what was not answered yet: that.
  [[nodiscard]] std::vector<throttle::Observation> Latest(const std::string& owner) const;

  // Likewise, of what was answered by partition.
  [[nodiscard]] std::vector<PartitionObservations> LatestPartitions(const std::string& owner) const;

  [[nodiscard]] ObserverFigures figures() const;

  // Looks at the clock again; for clocks that do not run.
  void Wake();

 private:
  struct Question {
    PollSchedule::Id id = 0;
    std::string key;
    Duration timeout{};
    std::unique_ptr<Source> source;    // asked by one thread at a time, without the lock
    throttle::Observation latest;      // guarded by mu_
    PartitionObservations partitions;  // likewise
    std::vector<std::pair<std::string, Duration>> watchers;  // guarded by mu_
  };
  using QuestionPtr = std::shared_ptr<Question>;

  void Run(const std::stop_token& stop);
  QuestionPtr Take(const std::stop_token& stop);
  void Finish(const QuestionPtr& question, Reply reply);
  QuestionPtr Find(const Query& query, Duration interval, Time now) REQUIRES(mu_);
  void Leave(const QuestionPtr& question, const std::string& owner, Time now) REQUIRES(mu_);
  void AdaptInterval(const Question& question, Time now) REQUIRES(mu_);

  SourceFactory& sources_;
  const Clock& clock_;
  const ObserverOptions options_;
  const OnObserved on_observed_;

  mutable Mutex mu_;
  std::condition_variable_any changed_;
  PollSchedule schedule_ GUARDED_BY(mu_);
  std::map<std::string, QuestionPtr> by_key_ GUARDED_BY(mu_);
  std::map<PollSchedule::Id, QuestionPtr> by_id_ GUARDED_BY(mu_);
  std::map<std::string, std::vector<QuestionPtr>> owners_ GUARDED_BY(mu_);
  PollSchedule::Id last_id_ GUARDED_BY(mu_) = 0;
  std::uint64_t wakes_ GUARDED_BY(mu_) = 0;
  std::uint64_t asked_ GUARDED_BY(mu_) = 0;
  std::uint64_t failed_ GUARDED_BY(mu_) = 0;
  std::mt19937_64 random_ GUARDED_BY(mu_);

  std::vector<std::jthread> threads_;  // last: they use the rest
};

}  // namespace backfill::observe
