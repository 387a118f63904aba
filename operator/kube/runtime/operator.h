#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "operator/kube/cache/informer.h"
#include "operator/kube/cache/object_cache.h"
#include "operator/kube/client/http_transport.h"
#include "operator/kube/runtime/controller.h"
#include "operator/kube/runtime/enqueue.h"
#include "operator/kube/runtime/event_recorder.h"
#include "operator/kube/runtime/health.h"
#include "operator/kube/runtime/host.h"
#include "operator/kube/runtime/leader_election.h"
#include "operator/kube/runtime/lease_api.h"
#include "operator/kube/runtime/metrics.h"
#include "operator/kube/runtime/reconciler.h"

// An operator put together: what controller-runtime calls a manager and its builder. Whoever wants
// another order of things takes the same parts by hand: it has nothing that they have not.
namespace backfill::kube {

struct FollowOptions {
  Selection selection = {};
  std::vector<CacheIndex> indexes = {};
  WatcherOptions watcher = {};
};

// One kind, or a part of it, as an operator follows it: the copy, and the thread that keeps it up
// to date. Made by Operator::Follow and lives as long as that. Readers are thread-safe.
class FollowedKind {
 public:
  FollowedKind(HttpTransport& watches, const Clock& clock, const Resource& resource,
               std::vector<CacheIndex> indexes, InformerOptions options);

  [[nodiscard]] const ObjectCache& cache() const { return cache_; }
  [[nodiscard]] const ResourceType& type() const { return informer_.type(); }
  [[nodiscard]] InformerStats stats() const { return informer_.stats(); }
  [[nodiscard]] const Informer& informer() const { return informer_; }
  // Before Run(). It must outlive the operator.
  void AddListener(CacheListener& listener) { cache_.AddListener(&listener); }

 private:
  friend class Operator;
  ObjectCache cache_;
  Informer informer_;
};

// A controller, and what adds keys to its queue. Made by Operator::Control and lives as long as
// that. Everything before Run().
class ControllerSetup {
 public:
  ControllerSetup(ControllerOptions options, FollowedKind& kind, Reconciler& reconciler,
                  const CacheView& caches, const Clock& clock, MetricRegistry& metrics);

  // A change of what an object of the kind controls adds the key of that object; changes of many
  // within `merge` are one (R17).
  ControllerSetup& Owns(FollowedKind& child, Duration merge = std::chrono::seconds(1));
  // A change of any other object adds the keys that `map` finds in it.
  ControllerSetup& Watches(FollowedKind& other, EnqueueMapped::Map map,
                           Duration merge = std::chrono::seconds(1));
  // Also after the beginning, from any thread: its queue().
  [[nodiscard]] Controller& controller() { return controller_; }

 private:
  ControllerSetup& Listen(FollowedKind& kind, std::unique_ptr<CacheListener> listener);

  const ResourceType type_;
  Controller controller_;
  EnqueueObject objects_;
  std::vector<std::unique_ptr<CacheListener>> others_;
};

// The Lease that decides who of several replicas acts.
struct Leadership {
  HttpTransport& transport;  // of its own: renewals never queue (R34)
  std::string ns;
  std::string name;
  ElectionOptions election;  // with an identity: NewIdentity(pod)
};

struct OperatorOptions {
  Host::Options host = {};                    // whether it waits for leadership is decided here
  std::optional<Leadership> leadership = {};  // absent: it is the only one, and acts at once
  std::optional<std::uint64_t> seed = {};     // of jitter; absent: another in every process
  WaitFunction wait = WaitOnThread;           // of informers, see there
  // Ends the process without a further word, when the Lease is lost or stopping takes too long
  // (R38, R39). In a test it returns.
  std::function<void(const std::string& reason)> exit_now = ExitNow;

  static void ExitNow(const std::string& reason);  // logs it, then std::_Exit(1)
};

// Puts together what follows kinds, reconciles them, leads and says how it is, and runs it in the
// right order (Host):
//
//     Operator op(watches, clock, metrics);
//     FollowedKind& jobs = op.Follow({kJobs, DecodeJob});
//     Runner runner(api, jobs.cache());
//     op.Control(backfills, runner, {.name = "backfill"}).Owns(jobs);
//     op.Run(stop_signals.token());
//
// No key is reconciled before all that is followed has been listed once (R13), nor, with
// leadership, while another leads; a follower keeps its caches warm. Several controllers may
// reconcile one kind, each with a queue of its own.
//
// All of one thread, the main one, and before Run() but for what says otherwise. What it is given
// by reference must outlive it.
class Operator {
 public:
  Operator(HttpTransport& watches, const Clock& clock, MetricRegistry& metrics,
           OperatorOptions options = {});
  ~Operator();
  Operator(const Operator&) = delete;
  Operator& operator=(const Operator&) = delete;

  // Each call is a list and a watch of its own. Of one kind there may be several, if each is of
  // another namespace.
  FollowedKind& Follow(const Resource& resource, const FollowOptions& options = {});

  // Reconciles the objects of that kind. What the options leave out: the name is the kind's plural;
  // it acts while this process leads (R38); lost keys are those of the cache.
  ControllerSetup& Control(FollowedKind& kind, Reconciler& reconciler,
                           ControllerOptions options = {});

  // A recorder that ends after the controllers. `controller` is a qualified name, `instance` the
  // pod.
  EventRecorder& RecordEvents(HttpTransport& transport, std::string controller,
                              std::string instance);

  // Whatever else runs: servers, loops.
  void Add(Part part) { host_.Add(std::move(part)); }

  // What the kubelet asks (R40), to which more may be added. Asking is thread-safe. Ready is who
  // has listed all that is followed, whether it leads or not.
  [[nodiscard]] HealthBoard& alive() { return alive_; }
  [[nodiscard]] HealthBoard& ready() { return ready_; }
  // Null without leadership. Thread-safe.
  [[nodiscard]] const LeaderElection* election() const { return election_.get(); }
  // Whether this process may act: always, without leadership. Thread-safe.
  [[nodiscard]] bool MayActAt(Time now) const {
    return election_ == nullptr || election_->IsLeaderAt(now);
  }

  // Until `stop`, once. As Host::Run.
  Status Run(const std::stop_token& stop) { return host_.Run(stop); }

 private:
  void Elect(const Leadership& leadership);

  HttpTransport& watches_;
  const Clock& clock_;
  MetricRegistry& metrics_;
  const OperatorOptions options_;

  HealthBoard alive_;
  HealthBoard ready_;
  Caches caches_;
  Host host_;
  std::unique_ptr<LeaseApi> lease_;
  std::unique_ptr<LeaderElection> election_;
  std::deque<FollowedKind> kinds_;
  std::deque<ControllerSetup> controllers_;
  struct Recorder;
  std::list<Recorder> recorders_;
};

}  // namespace backfill::kube
