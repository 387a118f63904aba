#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "tests/fakes/fake_api_server.h"

namespace backfill::fakes {

// The Job controller and the kubelets of a FakeApiServer, for Indexed Jobs as the product makes
// them: elastic, suspended, with back-off per index, podFailurePolicy (exit codes and
// DisruptionTarget) and podReplacementPolicy Failed; pods that are scheduled at once, start at
// once and run until a lever ends them. A process in a pod that is being deleted exits with 143.
//
// Nothing happens but in Step() and by levers; both go by the order of names, so a history is the
// same each time. Time is that of the clock. Not thread-safe; the server and the clock outlive it.
class FakeJobController {
 public:
  FakeJobController(FakeApiServer& server, const Clock& clock) : server_(server), clock_(clock) {}

  // One look of the controller at each Job, of the kubelets at each pod, of the collector at
  // everything. True if anything has changed.
  bool Step();
  // Until nothing changes any more.
  void Settle();

  // The worker of that index, which runs, exits.
  void Exit(const std::string& job, int index, int code, const std::string& reason = "");
  // It is evicted: it ends, and that is no failure.
  void Disrupt(const std::string& job, int index);
  // Its node is lost, and the pod removed by force: nobody has seen the process end.
  void LoseNode(const std::string& job, int index);
  void BreakImages() { images_broken_ = true; }
  void RepairImages() { images_broken_ = false; }
  // As a quota of pods does.
  void RefusePods() { pods_refused_ = true; }
  void AllowPods() { pods_refused_ = false; }
  // Processes take their time to end.
  void HoldEnds() { ends_held_ = true; }
  void ReleaseEnds() { ends_held_ = false; }

  // Names of the pods of a Job whose process runs, in order of indexes.
  [[nodiscard]] std::vector<std::string> Running(const std::string& job);
  // The uid of the pod that runs under an index; "" if none does.
  [[nodiscard]] std::string UidOf(const std::string& job, int index);

 private:
  using Json = nlohmann::json;
  struct Index {
    int failures = 0;
    Time not_before{};
  };
  struct History {
    std::set<int> succeeded, given_up;
    std::map<int, Index> indexes;
    int failed = 0;
    int succeeded_pods = 0;
    std::string fail_job;  // what the Job is to fail with
  };

  [[nodiscard]] Json List(const std::string& path);
  [[nodiscard]] std::vector<Json> PodsOf(const Json& job);
  void LookAtJob(const Json& job);
  void Account(const Json& job, const std::vector<Json>& pods, History& history);
  void Untrack(const Json& pod);
  void LetOrphansGo(const Json& jobs);
  void CreatePod(const Json& job, int index);
  void DeletePod(const Json& pod);
  void WriteStatus(const Json& job, const std::string& pod, Json status);
  void LookAtPod(const Json& pod);
  void End(const Json& pod, int code, const std::string& reason, bool disrupted);
  [[nodiscard]] Json PodOf(const std::string& job, int index);

  FakeApiServer& server_;
  const Clock& clock_;
  std::map<std::string, History> histories_;  // by uid of the Job
  std::uint64_t pods_made_ = 0;
  bool images_broken_ = false;
  bool pods_refused_ = false;
  bool ends_held_ = false;
};

}  // namespace backfill::fakes
