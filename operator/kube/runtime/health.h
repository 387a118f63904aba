#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"

// What /healthz and /readyz answer (R40). A process that is not healthy is killed, and one that is
// not ready gets no traffic, so neither says anything about leadership or about others: an API
// server that is away is no reason to kill whoever waits for it (flux2#5880).
namespace backfill::kube {

// Empty: fine. Else what is wrong, for people. Pure.
std::string LoopProblem(Time last_tick, Time now, Duration limit);
// R40: no reconcile over 2 min; they are bounded to 30 s.
std::string ReconcileProblem(Duration longest);
// A leader's thread ends with its leadership (R38). If that is past by 20 s and it still says that
// it leads, the thread hangs.
std::string LeaseProblem(bool says_it_leads, Time valid_until, Time now);

// Named checks, asked in order. Thread-safe; a check is called by whoever asks, without a lock,
// must return at once, and must outlive the board or be thread-safe for ever.
class HealthBoard {
 public:
  using Check = std::function<std::string(Time now)>;
  void Add(std::string name, Check check);

  struct Report {
    bool ok = true;
    std::string text;  // a line for each check, as the API server has them
  };
  [[nodiscard]] Report Ask(Time now) const;

 private:
  mutable Mutex mu_;
  std::vector<std::pair<std::string, Check>> checks_ GUARDED_BY(mu_);
};

}  // namespace backfill::kube
