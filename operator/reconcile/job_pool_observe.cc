// What JobPool sees: how many work, how workers end, and what is in their way.
#include <algorithm>
#include <utility>

#include "operator/reconcile/job_pool.h"

namespace backfill::reconcile {
namespace {

constexpr std::size_t kMaxEnded = 256;  // pods of a pool; the oldest is forgotten
constexpr int kLooksAtAnEnd = 3;        // the status may come later than the finalizer goes
constexpr int kLooksAtOnce = 3;         // R11

// The Job controller will have no pod of it, and has none: nobody works.
bool IsAtRest(const kube::Job& job) {
  return job.active == 0 && job.terminating == 0 &&
         (job.IsFinished() || (job.suspend && job.IsTrue("Suspended")));
}

StageKey KeyOfPod(const kube::Pod& pod) {
  StageKey key;
  const kube::OwnerReference* owner = pod.meta.controller();
  if (owner == nullptr || pod.pool >= kMaxPools) return key;
  for (const Stage stage : kStages) {
    if (ToString(stage) != pod.stage) continue;
    const std::string suffix = WorkerJobName("", stage, pod.pool);
    if (!owner->name.ends_with(suffix)) continue;
    key.stage = stage;
    key.ns = pod.meta.ns;
    key.name = owner->name.substr(0, owner->name.size() - suffix.size());
    key.uid = pod.backfill_uid;
  }
  return key;
}

std::string WorkerOfPod(const kube::Pod& pod) {
  return WorkerName(pod.stage, pod.pool, pod.completion_index.value_or(0));
}

std::string Seconds(Duration d) {
  return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(d).count()) + " s";
}

}  // namespace

// What adds up over the Jobs of a stage.
struct JobPool::Sight {
  PoolStatus status;
  int desired = 0;
  bool pods_lack = false;
  std::vector<std::string> known;    // uids of its Jobs that can tell which of their pods ended
  std::vector<std::string> working;  // of those that should have pods
  std::vector<std::string> lacking;  // of those whose pods have not all started
  std::map<std::string, int> alive;  // by Job: pods, or what the Job says, if that is more
};

// ---- from the informer of pods

void JobPool::OnDelta(const kube::Delta& delta) {
  const auto pod = kube::As<kube::Pod>(delta.object);
  const bool deleted = delta.type == kube::DeltaType::kDeleted;
  const bool ended = delta.type == kube::DeltaType::kUpdated && !pod->tracked &&
                     kube::As<kube::Pod>(delta.old)->tracked;
  if (!deleted && !ended) return;
  const StageKey key = KeyOfPod(*pod);
  if (key.uid.empty() || !pod->completion_index) return;
  const std::string worker = WorkerOfPod(*pod);
  if (options_.on_deleted) options_.on_deleted(key, worker, pod->meta.uid);
  if (!ended) return;
  MutexLock l(mu_);
  const auto pool = pools_.find(key);
  if (pool == pools_.end()) return;  // nobody has asked for it: anybody can label a pod
  std::deque<EndedPod>& queue = pool->second.ended;
  if (queue.size() == kMaxEnded) queue.pop_front();
  queue.push_back({pod->meta.ns, pod->meta.name, pod->meta.uid, worker});
}

void JobPool::Forget(const StageKey& key) {
  MutexLock l(mu_);
  pools_.erase(key);
}

// ---- looks at single pods

std::optional<PodState> JobPool::ReadPod(const kube::ObjectKey& key, const std::string& uid,
                                         Time until) {
  if (clock_.Steady() >= until) return std::nullopt;
  const auto pod = api_.Get(PodStates(), key, {until});
  if (!pod.ok() || (*pod)->meta.uid != uid) return std::nullopt;
  return *kube::As<PodState>(*pod);
}

// How workers ended, as the kubelet says. Only what it has seen to end is reported as gone: a pod
// that the API server has lost may still send (F13), and its leases run out by themselves.
void JobPool::LookAtEnds(const StageKey& key, Time until) {
  for (int i = 0; i < kLooksAtOnce; ++i) {
    EndedPod ended;
    {
      MutexLock l(mu_);
      std::deque<EndedPod>& queue = pools_[key].ended;
      if (queue.empty()) return;
      ended = std::move(queue.front());
      queue.pop_front();
    }
    const auto pod = ReadPod({ended.ns, ended.name}, ended.uid, until);
    if (!pod) continue;  // gone, and with it the proof
    if (!pod->ended) {
      if (++ended.looks == kLooksAtAnEnd) continue;
      MutexLock l(mu_);
      pools_[key].ended.push_back(std::move(ended));
      continue;
    }
    if (pod->ended->exit_code != 0 || pod->ended->signal != 0) {
      MutexLock l(mu_);
      pools_[key].last_failure = DescribeEnd(ended.worker, *pod);
    }
    if (pod->ended->certain && options_.on_gone) options_.on_gone(key, ended.worker, ended.uid);
  }
}

// What pods that have not started wait for. Which ones those are the cache does not know, so some
// are read in turn.
void JobPool::LookAtWaiting(const StageKey& key, const std::vector<PodPtr>& pods, Time until) {
  if (pods.empty()) return;
  std::size_t next = 0;
  {
    MutexLock l(mu_);
    Pool& pool = pools_[key];
    pool.looked_at = clock_.Steady();
    next = pool.look_next;
    pool.look_next += kLooksAtOnce;
  }
  const std::size_t looks = std::min<std::size_t>(pods.size(), kLooksAtOnce);
  for (std::size_t i = 0; i < looks; ++i) {
    const kube::Pod& one = *pods[(next + i) % pods.size()];
    const auto pod = ReadPod(one.meta.key(), one.meta.uid, until);
    if (!pod || pod->phase == "Succeeded" || pod->phase == "Failed") continue;
    PoolTrouble trouble{"WorkersUnavailable", ""};
    if (IsImageTrouble(pod->waits_for)) {
      trouble = {"ImagePullError",
                 "pod " + pod->meta.name + ": " + pod->waits_for + ": " + pod->waits_message};
    } else if (!pod->waits_for.empty()) {
      trouble.message = "pod " + pod->meta.name + ": " + pod->waits_for + ": " + pod->waits_message;
    } else if (const auto since = ParseWallTime(pod->meta.creation_time);
               pod->phase == "Pending" && since && clock_.Wall() - *since >= options_.slow_start) {
      trouble.message = "pod " + pod->meta.name + " has not started within " +
                        Seconds(options_.slow_start) + "; kubectl describe pod says why";
    } else {
      continue;
    }
    MutexLock l(mu_);
    pools_[key].waiting = std::move(trouble);
    return;
  }
  MutexLock l(mu_);
  pools_[key].waiting.reset();
}

// Whether it takes anything new; any answer but that it goes says nothing.
void JobPool::AskNamespace(const StageKey& key, const api::Backfill& backfill, Time until) {
  {
    MutexLock l(mu_);
    const auto pool = pools_.find(key);
    const Time now = clock_.Steady();
    if (pool == pools_.end() || pool->second.namespace_goes) return;
    const std::optional<Time>& asked = pool->second.asked_namespace;
    if (now >= until || (asked && now - *asked < options_.look_period)) return;
    pool->second.asked_namespace = now;
  }
  Result<std::string> job = WorkerJob(backfill, key.stage, 0, 1, options_.job);
  if (!job.ok()) return;
  const auto made =
      api_.WouldCreate({kube::kJobs, &kube::DecodeJob}, key.ns, std::move(job).value(), {until});
  if (made.ok() || !made.error().HasCause(kube::kCauseNamespaceTerminating)) return;
  MutexLock l(mu_);
  pools_[key].namespace_goes = true;
}

// ---- the whole

void JobPool::CountFailures(Pool& pool, Slot& slot, const kube::Job& job, const WantedJob& wanted) {
  if (slot.counted_uid != job.meta.uid) {
    pool.failures_of_old_jobs += slot.counted;
    slot.counted_uid = job.meta.uid;
    slot.counted = 0;
  }
  const auto failed = static_cast<std::uint64_t>(std::max(0, job.failed));
  if (failed <= slot.counted) return;
  const auto hash = job.meta.labels.find(std::string(kTemplateHashLabel));
  if (hash == job.meta.labels.end() || hash->second != wanted.template_hash)
    pool.failures_forgiven += failed - slot.counted;
  slot.counted = failed;
}

std::optional<PoolTrouble> JobPool::TroubleOf(Slot& slot, const kube::Job& job,
                                              const WantedJob& wanted) {
  if (wanted.queued && job.suspend)
    return PoolTrouble{"WorkersUnavailable", "Job " + job.meta.name + " waits in its queue"};
  // Events say why the controller makes no pods, and nobody may read those here.
  const bool is_short =
      !job.suspend && job.failed == 0 && job.active + job.succeeded < job.parallelism;
  const Time now = clock_.Steady();
  if (!is_short) {
    slot.short_since = Time{};
  } else if (slot.short_since == Time{}) {
    slot.short_since = now;
  } else if (now - slot.short_since >= options_.slow_making) {
    return PoolTrouble{
        "WorkersUnavailable",
        "Job " + job.meta.name + " has " + std::to_string(job.active) + " of " +
            std::to_string(job.parallelism) +
            " pods; a quota or a rule may forbid them: kubectl describe job says why"};
  }
  return std::nullopt;
}

void JobPool::SeeJob(Sight& sight, Slot& slot, const JobPtr& job, const WantedJob& wanted) {
  PoolStatus& status = sight.status;
  const bool deleting = !job->meta.deletion_time.empty();
  int& alive = sight.alive[job->meta.uid];
  alive = std::max(alive, job->active + job->terminating);
  // Pods may come at any moment, until the controller says that it has understood.
  if (deleting || !IsAtRest(*job)) alive = std::max(alive, 1);
  if (deleting) {
    status.replacing = status.replacing || wanted.replicas > 0;
    return;
  }
  sight.known.push_back(job->meta.uid);
  if (job->IsFinished()) {
    const kube::JobCondition* failed = job->Condition("Failed");
    if (!IsMadeFor(*job, wanted)) return;
    status.config_error = status.config_error || HasConfigError(*job);
    if (status.last_failure.empty() && failed != nullptr && failed->status == "True")
      status.last_failure = failed->message;
    return;
  }
  if (IsMadeFor(*job, wanted)) {
    status.config_error = status.config_error || HasConfigError(*job);
  }
  if (job->suspend) {
    status.remains = status.remains || alive == 0;
  } else {
    sight.desired += job->parallelism;
    sight.working.push_back(job->meta.uid);
  }
  if (job->ready < job->active) sight.lacking.push_back(job->meta.uid);
  if (!status.trouble) status.trouble = TroubleOf(slot, *job, wanted);
}

PoolStatus JobPool::Observe(const api::Backfill& backfill, Stage stage) {
  const StageKey key = KeyOf(backfill, stage);
  Sight sight;
  std::vector<PodPtr> pods;
  for (const auto& object : pods_.Find("backfill", key.uid)) {
    auto pod = kube::As<kube::Pod>(object);
    if (pod->stage == ToString(stage) && pod->meta.ns == key.ns) pods.push_back(std::move(pod));
  }
  std::map<std::string, int> pods_alive;
  std::optional<PoolTrouble> refused;
  bool look = false;
  const WantedJob any = Wanted(backfill);
  {
    MutexLock l(mu_);
    const auto found = pools_.find(key);
    Pool unknown;  // nothing was done here yet: what there is, is shown, and nothing kept
    Pool& pool = found == pools_.end() ? unknown : found->second;
    const int replicas = pool.wanted.value_or(0);
    BeginAnewIfChanged(pool, any);
    for (int p = 0; p < kMaxPools; ++p) {
      Slot& slot = pool.slots[static_cast<std::size_t>(p)];
      const JobPtr job = Seen(slot, {key.ns, WorkerJobName(key.name, stage, p)});
      const bool ours = job != nullptr && IsOwnedBy(*job, key.uid);
      // What is neither wanted any more nor there is nobody's trouble.
      if (!refused && (ReplicasOfPool(p, replicas) > 0 || ours)) refused = slot.trouble;
      if (!ours) continue;
      const WantedJob wanted = OfPool(any, p, replicas);
      CountFailures(pool, slot, *job, wanted);
      SeeJob(sight, slot, job, wanted);
    }
    sight.status.desired = pool.wanted.value_or(sight.desired);
    std::uint64_t failures = pool.failures_of_old_jobs;
    for (const Slot& slot : pool.slots) failures += slot.counted;
    sight.status.failures = failures - std::min(failures, pool.failures_forgiven);
    if (!pool.last_failure.empty()) sight.status.last_failure = pool.last_failure;
    look = found != pools_.end() &&
           (!pool.looked_at || clock_.Steady() - *pool.looked_at >= options_.look_period);
    if (sight.lacking.empty()) pool.waiting.reset();
  }

  // A pod has ended once its Job has counted it; of one whose Job is not there that is not known.
  std::vector<PodPtr> lacking;
  bool losing = false;
  for (const PodPtr& pod : pods) {
    const kube::OwnerReference* owner = pod->meta.controller();
    if (owner == nullptr || owner->kind != "Job") continue;  // anybody can label a pod
    const std::string& job = owner->uid;
    const bool counted = !pod->tracked && pod->meta.deletion_time.empty() &&
                         std::ranges::count(sight.known, job) > 0;
    if (counted) continue;
    ++pods_alive[job];
    losing =
        losing || (!pod->meta.deletion_time.empty() && std::ranges::count(sight.working, job) > 0);
    if (pod->meta.deletion_time.empty() && std::ranges::count(sight.lacking, job) > 0)
      lacking.push_back(pod);
  }
  for (const auto& [job, count] : pods_alive) sight.alive[job] = std::max(sight.alive[job], count);
  for (const auto& [job, count] : sight.alive) sight.status.alive += count;
  if (sight.status.alive > 0) sight.status.remains = false;

  const Time until = clock_.Steady() + options_.look_limit;
  if (look) LookAtWaiting(key, lacking, until);
  if (losing) AskNamespace(key, backfill, until);
  {
    MutexLock l(mu_);
    if (const auto pool = pools_.find(key); pool != pools_.end()) {
      look = !pool->second.ended.empty();
      if (!sight.status.trouble) sight.status.trouble = pool->second.waiting;
      sight.status.namespace_goes = pool->second.namespace_goes;
    } else {
      look = false;
    }
  }
  if (look) LookAtEnds(key, until);
  if (refused) sight.status.trouble = std::move(refused);
  return std::move(sight.status);
}

}  // namespace backfill::reconcile
