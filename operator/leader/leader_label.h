#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>

#include "base/clock.h"
#include "base/result.h"
#include "operator/coordinator/leadership.h"
#include "operator/kube/cache/informer.h"
#include "operator/kube/client/api_client.h"

namespace backfill::leader {

inline constexpr std::string_view kLeaderLabel = "backfill.dev/leader";

struct LeaderLabelOptions {
  std::string ns;
  std::string pod;       // this one's name
  std::string selector;  // of the labels of all operator pods: "app.kubernetes.io/name=.."
  Duration call_timeout = std::chrono::seconds(2);
  // Whether it still is where it belongs: a pod that was stopped and wakes up, or a hand, may have
  // moved it.
  Duration look_every = std::chrono::seconds(30);
  Duration first_wait = std::chrono::milliseconds(200);  // after a failure, doubled each time
  Duration longest_wait = std::chrono::seconds(5);
  std::size_t max_pods = 500;
  kube::WaitFunction wait = kube::WaitOnThread;
};

// Moves the label that the Service of the coordinator selects (as Vault does): workers reach the
// leader and nobody else. Who leads takes it off the others first, so that at no time two have it
// by its doing; it asks for the leadership before each write, and a write names the version that
// was seen, so that one that arrives late changes nothing that was decided after it.
//
// The label is no fence: who is reached without leading refuses all that it is asked (R38).
//
// Thread-safe but for Start and Stop. References outlive it. Errors are those of the API server.
class LeaderLabel {
 public:
  LeaderLabel(const kube::ApiClient& api, const Clock& clock,
              const coordinator::Leadership& leadership, LeaderLabelOptions options);
  ~LeaderLabel();
  LeaderLabel(const LeaderLabel&) = delete;
  LeaderLabel& operator=(const LeaderLabel&) = delete;

  // At the start of a process: labels survive the restart of a container. Tried until `deadline`.
  Status ClearOwn(Time deadline, const std::stop_token& stop = {});

  // Once this process leads and listens: takes the label and keeps it, on a thread of its own.
  void Start();
  // Ends that, and takes the label off (R39), tried until `deadline`. Idempotent.
  void Stop(Time deadline);

  // One look: off the others, onto this pod. kAborted: this process does not lead. kConflict: a pod
  // has changed since it was seen; look again.
  Status Take(const std::stop_token& stop);

 private:
  Status Set(const kube::ObjectMeta& pod, bool leads, const std::stop_token& stop);
  [[nodiscard]] kube::CallLimits Limits(const std::stop_token& stop) const;

  // ---- constant
  const kube::ApiClient& api_;
  const Clock& clock_;
  const coordinator::Leadership& leadership_;
  const LeaderLabelOptions options_;

  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace backfill::leader
