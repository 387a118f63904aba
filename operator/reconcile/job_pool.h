#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "operator/kube/cache/kinds.h"
#include "operator/kube/cache/object_cache.h"
#include "operator/kube/client/api_client.h"
#include "operator/reconcile/job_step.h"
#include "operator/reconcile/pod_state.h"
#include "operator/reconcile/worker_job.h"
#include "operator/reconcile/worker_pool.h"

namespace backfill::reconcile {

using namespace std::chrono_literals;

// What of `replicas` workers in all is that pool's.
WantedJob OfPool(WantedJob wanted, int pool, int replicas);

struct JobPoolOptions {
  WorkerJobOptions job;
  Duration call_limit = 10s;  // of each call to the API server
  Duration look_limit = 3s;   // of all looks at single pods in one Observe()
  Duration look_period = 10s;
  Duration slow_start = 60s;   // pods that have not started by then are trouble
  Duration slow_making = 20s;  // likewise a Job that has fewer pods than it should
  Duration healthy = 10min;    // a Job that lived so long has healed: the next end is a first one
  // Called by each Scale() that wants workers in that namespace, before anything else: what their
  // pods mount must be there, and stay there. kConflict, kPermission: refused, tried again later.
  std::function<Status(const std::string& ns)> prepare = nullptr;
  // That worker's process has ended for certain, as the kubelet of its node says: what it held may
  // be given away. Called by Observe(). `instance`: the uid of the pod.
  std::function<void(const StageKey&, const std::string& worker, const std::string& instance)>
      on_gone = nullptr;
  // The API server has no such pod any more, or says that it has ended: it may act for nobody. Its
  // process may go on all the same, on a node that was lost. Called by the thread of the informer
  // of pods; must return soon.
  std::function<void(const StageKey&, const std::string& worker, const std::string& instance)>
      on_deleted = nullptr;
};

// Workers as pods of elastic Indexed Jobs, one for each 500 (kubernetes.md, section 4). It says
// what there is to be; the Job controller starts, restarts and ends the pods.
//
// `jobs` must have the index ByController(), `pods` ByBackfillOfPod(), both be selected by
// kWorkerSelector; the pool listens to `pods` (AddListener, before its informer starts). All of
// them must outlive it. Until both have synced, Scale and Stop fail with kUnavailable (R13).
//
// What was written is believed until the cache has it, for 5 min at most (R21). Of each Job the
// first creation or deletion follows a live read (R22), and so does the next one after a call whose
// outcome is not known. What the API server refuses, and Jobs that end while there is work left,
// are tried again on R19's schedule, without a call in between: PoolStatus::trouble says what it
// is.
//
// A namespace that is deleted (R30): Kubernetes removes its pods first, and of a Job whose pods may
// fail a number of times the controller keeps the last ones until they have a successor, which such
// a namespace refuses. The namespace itself is nothing that an operator may read. So where pods go
// that are wanted, the server is asked every look_period whether it would take another Job there.
// From then on none is made, and Stop() deletes the Jobs before their pods (background).
//
// Thread-safe; no lock is held during a call. Several calls of one Scale() are made one after the
// other, and the first that fails ends it: a quota is asked once, not for each Job (R30).
class JobPool final : public WorkerPool, public kube::CacheListener {
 public:
  JobPool(const kube::ApiClient& api, const kube::ObjectCache& jobs, const kube::ObjectCache& pods,
          const Clock& clock, JobPoolOptions options);

  // kInvalid: no image of workers is known. kUnavailable, kDeadline: the API server is in trouble.
  Status Scale(const api::Backfill& backfill, Stage stage, int replicas) override;
  // Deletes the Jobs, with their pods before them (foreground). A Job that has ended stays, to be
  // looked at, until its time to live ends or its Backfill goes.
  Status Stop(const StageKey& key) override;
  PoolStatus Observe(const api::Backfill& backfill, Stage stage) override;
  // The Backfill is gone: so is what was known of its Jobs.
  void Forget(const StageKey& key);

  void OnDelta(const kube::Delta& delta) override;

 private:
  using JobPtr = std::shared_ptr<const kube::Job>;
  using PodPtr = std::shared_ptr<const kube::Pod>;

  // What is known of one Job besides what the cache says.
  struct Slot {
    bool read_live = false;  // R22
    JobPtr answered;         // the last answer to a write or live read, until the cache has it
    Time answered_at;
    std::string deleting_uid;  // the server has been told to delete it
    Time deleting_at;
    std::string gone_uid;  // the server has it no more, whatever the cache says

    std::string live_uid;  // at work when last looked at, and not deleted here
    Time live_since;
    std::string ended_uid;  // its end has been noted
    std::optional<WallTime> failed_since;
    Time create_at{};  // not before
    Time call_at{};    // likewise, after a refusal
    std::optional<PoolTrouble> trouble;
    Time short_since{};  // when it was seen to have fewer pods than it should; zero: it has not

    std::string counted_uid;  // whose failures are counted here
    std::uint64_t counted = 0;
  };
  struct EndedPod {
    std::string ns, name, uid, worker;
    int looks = 0;
  };
  struct Pool {
    std::array<Slot, kMaxPools> slots;
    std::optional<int> wanted;  // as last asked for
    std::string made_for;       // template hash and reconcile-at; a change begins anew
    std::uint64_t failures_of_old_jobs = 0;
    std::uint64_t failures_forgiven = 0;  // of another template, or before made_for changed
    std::string last_failure;
    std::deque<EndedPod> ended;  // whose ends nobody has looked at
    std::optional<Time> looked_at;
    std::size_t look_next = 0;
    std::optional<PoolTrouble> waiting;  // what pods that have not started wait for
    bool namespace_goes = false;         // which nothing undoes
    std::optional<Time> asked_namespace;
  };
  using Decide = std::function<JobStep(const kube::Job* seen)>;
  struct Target {  // one Job
    StageKey pool;
    int index;
    kube::ObjectKey job;
  };

  [[nodiscard]] kube::CallLimits Limits() const;
  // Of no pool yet.
  [[nodiscard]] WantedJob Wanted(const api::Backfill& backfill) const;
  static Target TargetOf(const StageKey& key, int index);

  JobPtr Seen(Slot& slot, const kube::ObjectKey& key) REQUIRES(mu_);
  void BeginAnewIfChanged(Pool& pool, const WantedJob& wanted) REQUIRES(mu_);
  void NoteEnds(Slot& slot, const JobPtr& seen, const api::Backfill& backfill,
                const WantedJob& wanted) REQUIRES(mu_);
  void MarkFailed(Slot& slot, const std::string& uid) REQUIRES(mu_);
  void Heal(const Target& target);
  void ForgetForeign(const Target& target);

  // Whether workers can be had in its namespace.
  Result<bool> Prepare(const Target& first);
  // Until there is nothing to do, or something to wait for.
  Status Drive(const Target& target, const Decide& decide, const api::Backfill* backfill,
               const WantedJob& wanted);
  // Each returns whether to decide again at once.
  Result<bool> ReadLive(const Target& target);
  Result<bool> Create(const Target& target, const api::Backfill& backfill, int replicas);
  Result<bool> Patch(const Target& target, const std::string& patch);
  Result<bool> Delete(const Target& target, const kube::Job& job, const std::string& why);
  // A refusal is noted, and tried again later; everything else is the caller's.
  Result<bool> Failed(const Target& target, const kube::ApiError& error);
  void Refuse(const Target& target, PoolTrouble trouble);
  void Answer(const Target& target, const kube::ApiObjectPtr& job);
  void Gone(const Target& target, const std::string& uid);

  // ---- Observe
  struct Sight;
  void LookAtEnds(const StageKey& key, Time until);
  void LookAtWaiting(const StageKey& key, const std::vector<PodPtr>& pods, Time until);
  std::optional<PodState> ReadPod(const kube::ObjectKey& key, const std::string& uid, Time until);
  void SeeJob(Sight& sight, Slot& slot, const JobPtr& job, const WantedJob& wanted) REQUIRES(mu_);
  void CountFailures(Pool& pool, Slot& slot, const kube::Job& job, const WantedJob& wanted)
      REQUIRES(mu_);
  void AskNamespace(const StageKey& key, const api::Backfill& backfill, Time until);
  std::optional<PoolTrouble> TroubleOf(Slot& slot, const kube::Job& job, const WantedJob& wanted)
      REQUIRES(mu_);

  const kube::ApiClient& api_;
  const kube::ObjectCache& jobs_;
  const kube::ObjectCache& pods_;
  const Clock& clock_;
  const JobPoolOptions options_;

  Mutex mu_;
  std::map<StageKey, Pool> pools_ GUARDED_BY(mu_);
};

}  // namespace backfill::reconcile
