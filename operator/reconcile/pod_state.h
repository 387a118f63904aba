#pragma once

#include <optional>
#include <string>

#include "operator/kube/cache/kinds.h"
#include "operator/kube/client/api_object.h"

namespace backfill::reconcile {

// What the status of a worker's pod says. Pods are cached without it (R11), so it is read for
// single ones, when something is amiss.
struct PodState final : kube::ApiObject {
  struct Ended {
    int exit_code = 0;
    int signal = 0;
    std::string reason;  // Error, OOMKilled ..
    // The kubelet has seen the process end. When a node is lost others set the state of its pods,
    // while their processes may go on.
    bool certain = false;
  };
  std::string phase;           // Pending, Running, Succeeded, Failed, Unknown
  std::optional<Ended> ended;  // of the container `worker`
  // Why it has not started, and what the kubelet or the scheduler says: ImagePullBackOff,
  // CreateContainerConfigError, Unschedulable ..
  std::string waits_for;
  std::string waits_message;  // cut to 512 bytes
};

// Of `pods`, decoded to PodState.
kube::Resource PodStates();

// "run-3 (pod a-run-3-x7k2p) exited with 1", "... was killed (OOMKilled)".
std::string DescribeEnd(const std::string& worker, const PodState& pod);

// One of the reasons with which a kubelet says that there is no image to start.
bool IsImageTrouble(const std::string& waits_for);

}  // namespace backfill::reconcile
