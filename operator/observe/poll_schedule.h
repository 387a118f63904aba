#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "base/clock.h"

namespace backfill::observe {

struct PollOptions {
  double jitter = 0.1;  // of an interval, both ways: what began together drifts apart
  // After a failure of its provider a question waits for a random part of this, doubled up to the
  // longest with each further one.
  Duration first_retry = std::chrono::seconds(1);
  Duration longest_retry = std::chrono::seconds(30);
  // Not even at random sooner than this.
  Duration shortest_retry = std::chrono::milliseconds(100);
  int max_in_flight = 8;
  // Of questions to one provider; one alone while it fails. So a provider that hangs holds one
  // place, and the others are asked as before. At 50 ms a question four make 80 a second.
  int max_per_provider = 4;
};

// When which question is asked. Each waits for its interval, or, after its provider has failed,
// backs off by itself: one slow query must not silence all others to the same Prometheus. The
// first success after failures brings the others of that provider forward.
//
// Pure, not thread-safe; time and random numbers (`chance`, from [0, 1)) are arguments. `now` never
// goes back.
class PollSchedule {
 public:
  using Id = std::uint64_t;

  explicit PollSchedule(const PollOptions& options) : options_(options) {}

  // Due at once.
  void Add(Id id, const std::string& provider, Duration interval, Time now);
  // From the next time on; sooner if the new interval is over already.
  void SetInterval(Id id, Duration interval, Time now);
  // Also of one that is under way: then its Done() does nothing more.
  void Remove(Id id);

  // The question that has been due for longest and may be asked. It is under way from now on.
  std::optional<Id> Next(Time now);
  void Done(Id id, bool provider_failed, Time now, double chance);

  // When Next() may have something without a Done() before; nothing: only after one.
  [[nodiscard]] std::optional<Time> NextDue() const;

  [[nodiscard]] std::size_t questions() const { return questions_.size(); }
  [[nodiscard]] int in_flight() const { return in_flight_; }

 private:
  struct Provider {
    int in_flight = 0;
    bool failing = false;
    std::set<Id> questions;
  };
  using Providers = std::map<std::string, Provider>;
  struct Question {
    Providers::iterator provider;
    Duration interval;
    Time due;
    Time asked;  // when it was last
    bool in_flight = false;
    int failures = 0;  // of its provider, in a row
  };

  [[nodiscard]] bool MayAsk(const Provider& provider) const;
  void Reschedule(Id id, Question& question, Time due);
  void Recover(Provider& provider, Time now, double chance);
  void Release(Providers::iterator provider);

  const PollOptions options_;
  Providers providers_;
  std::map<Id, Question> questions_;
  std::set<std::pair<Time, Id>> due_;          // those that are not under way
  std::map<Id, Providers::iterator> removed_;  // under way
  int in_flight_ = 0;
};

}  // namespace backfill::observe
