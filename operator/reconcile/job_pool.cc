#include "operator/reconcile/job_pool.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "operator/api/conditions.h"
#include "operator/kube/runtime/retry_schedule.h"

namespace backfill::reconcile {
namespace {

using Kind = JobStep::Kind;

constexpr int kTries = 5;             // R25
constexpr Duration kPatience = 5min;  // R21
constexpr std::string_view kNamespaceGoes = "NamespaceTerminating";

const kube::Resource kJobResource{kube::kJobs, &kube::DecodeJob};

// When the status says that workers could not be had: so a restart keeps the schedule (R19, F25).
std::optional<WallTime> FailedSince(const api::Backfill& backfill) {
  static constexpr std::array kReasons = {"QuotaExceeded",     "ImagePullError", "Forbidden",
                                          "NameConflict",      "InvalidSpec",    "TooLarge",
                                          "WorkersUnavailable"};
  const api::Condition* ready = api::FindCondition(backfill.status, "Ready");
  if (ready == nullptr || ready->status != api::ConditionStatus::kFalse ||
      std::ranges::count(kReasons, ready->reason) == 0)
    return std::nullopt;
  return ParseWallTime(ready->last_transition_time);
}

std::string ReasonOf(const kube::ApiError& error) {
  if (error.HasCause(kube::kCauseQuotaExceeded)) return "QuotaExceeded";
  if (error.HasCause(kube::kCauseNamespaceTerminating)) return std::string(kNamespaceGoes);
  if (error.kind == kube::ApiErrorKind::kForbidden) return "Forbidden";
  return error.kind == kube::ApiErrorKind::kTooLarge ? "TooLarge" : "InvalidSpec";
}

}  // namespace

WantedJob OfPool(WantedJob wanted, int pool, int replicas) {
  wanted.replicas = ReplicasOfPool(pool, replicas);
  wanted.needed = wanted.replicas > 0 || replicas == 0;
  return wanted;
}

JobPool::JobPool(const kube::ApiClient& api, const kube::ObjectCache& jobs,
                 const kube::ObjectCache& pods, const Clock& clock, JobPoolOptions options)
    : api_(api), jobs_(jobs), pods_(pods), clock_(clock), options_(std::move(options)) {}

kube::CallLimits JobPool::Limits() const { return {clock_.Steady() + options_.call_limit}; }

JobPool::Target JobPool::TargetOf(const StageKey& key, int index) {
  return {key, index, {key.ns, WorkerJobName(key.name, key.stage, index)}};
}

WantedJob JobPool::Wanted(const api::Backfill& backfill) const {
  WantedJob wanted;
  wanted.backfill = backfill.name;
  wanted.backfill_uid = backfill.uid;
  wanted.queued = IsQueued(backfill);
  wanted.template_hash = TemplateHash(backfill, options_.job);
  const auto at = backfill.annotations.find(std::string(kReconcileAtAnnotation));
  if (at != backfill.annotations.end()) wanted.reconcile_at = at->second;
  return wanted;
}

// ---- what is there

JobPool::JobPtr JobPool::Seen(Slot& slot, const kube::ObjectKey& key) {
  const Time now = clock_.Steady();
  const auto cached = kube::As<kube::Job>(jobs_.Get(key.ns, key.name));
  if (slot.answered) {
    const bool late = now - slot.answered_at >= kPatience;
    if (late) slot.read_live = false;  // nothing is known any more
    if (late || jobs_.HasSeen(key, slot.answered->meta.resource_version)) slot.answered.reset();
  }
  JobPtr job = slot.answered ? slot.answered : cached;
  if (job == nullptr) return nullptr;
  if (job->meta.uid == slot.gone_uid) return nullptr;
  if (job->meta.uid == slot.deleting_uid && job->meta.deletion_time.empty() &&
      now - slot.deleting_at < kPatience) {
    auto deleting = std::make_shared<kube::Job>(*job);
    deleting->meta.deletion_time = FormatWallTime(clock_.Wall());
    return deleting;
  }
  return job;
}

// A person has changed something: what was refused may be taken now.
void JobPool::BeginAnewIfChanged(Pool& pool, const WantedJob& wanted) {
  std::string made_for = wanted.template_hash + " " + wanted.reconcile_at;
  if (pool.made_for == made_for) return;
  if (!pool.made_for.empty()) {
    for (Slot& slot : pool.slots) {
      slot.failed_since.reset();
      slot.create_at = slot.call_at = Time{};
      slot.trouble.reset();
    }
    pool.waiting.reset();
    pool.looked_at.reset();
    pool.last_failure.clear();
    pool.failures_forgiven = pool.failures_of_old_jobs;
    for (const Slot& slot : pool.slots) pool.failures_forgiven += slot.counted;
  }
  pool.made_for = std::move(made_for);
}

void JobPool::MarkFailed(Slot& slot, const std::string& uid) {
  const WallTime now = clock_.Wall();
  if (!slot.failed_since) slot.failed_since = now;
  // A clock on the wall may be set: it says how long, not until when.
  slot.create_at = clock_.Steady() + (kube::NextRetry(*slot.failed_since, now, uid) - now);
}

// A Job that has ended, or that somebody has deleted, while its workers are wanted.
void JobPool::NoteEnds(Slot& slot, const JobPtr& seen, const api::Backfill& backfill,
                       const WantedJob& wanted) {
  const Time now = clock_.Steady();
  if (seen == nullptr) {
    if (!slot.live_uid.empty()) {
      slot.live_uid.clear();
      MarkFailed(slot, wanted.backfill_uid);
    } else if (!slot.read_live && !slot.failed_since) {
      if (const auto since = FailedSince(backfill)) {
        slot.failed_since = since;
        MarkFailed(slot, wanted.backfill_uid);
      }
    }
    return;
  }
  if (!IsOwnedBy(*seen, wanted.backfill_uid)) return;
  if (!seen->meta.deletion_time.empty()) {
    // By somebody else, or it would not be in live_uid any more.
    if (seen->meta.uid == slot.live_uid) {
      slot.live_uid.clear();
      MarkFailed(slot, wanted.backfill_uid);
    }
  } else if (seen->IsFinished()) {
    if (slot.ended_uid == seen->meta.uid || !IsMadeFor(*seen, wanted)) return;
    slot.ended_uid = seen->meta.uid;
    slot.live_uid.clear();
    if (!slot.failed_since) slot.failed_since = FailedSince(backfill);
    MarkFailed(slot, wanted.backfill_uid);
  } else if (slot.live_uid != seen->meta.uid) {
    slot.live_uid = seen->meta.uid;
    slot.live_since = now;
  } else if (now - slot.live_since >= options_.healthy) {
    slot.failed_since.reset();
  }
}

// ---- calls

void JobPool::Answer(const Target& target, const kube::ApiObjectPtr& job) {
  MutexLock l(mu_);
  Slot& slot = pools_[target.pool].slots[static_cast<std::size_t>(target.index)];
  slot.answered = kube::As<kube::Job>(job);
  slot.answered_at = clock_.Steady();
  slot.read_live = true;
  slot.gone_uid.clear();
}

void JobPool::Gone(const Target& target, const std::string& uid) {
  MutexLock l(mu_);
  Slot& slot = pools_[target.pool].slots[static_cast<std::size_t>(target.index)];
  slot.answered.reset();
  slot.gone_uid = uid;
  slot.read_live = true;
}

// The cache need not have what is not a worker's Job, so it would not say that it has gone.
void JobPool::ForgetForeign(const Target& target) {
  MutexLock l(mu_);
  Slot& slot = pools_[target.pool].slots[static_cast<std::size_t>(target.index)];
  slot.answered.reset();
  slot.read_live = false;
}

void JobPool::Heal(const Target& target) {
  MutexLock l(mu_);
  Slot& slot = pools_[target.pool].slots[static_cast<std::size_t>(target.index)];
  slot.trouble.reset();
  slot.call_at = Time{};
}

void JobPool::Refuse(const Target& target, PoolTrouble trouble) {
  Log(LogLevel::kWarning, "a worker Job cannot be had",
      {{"job", target.job.ns + "/" + target.job.name},
       {"reason", trouble.reason},
       {"error", trouble.message}});
  MutexLock l(mu_);
  Slot& slot = pools_[target.pool].slots[static_cast<std::size_t>(target.index)];
  if (trouble.reason == kNamespaceGoes) pools_[target.pool].namespace_goes = true;
  slot.trouble = std::move(trouble);
  MarkFailed(slot, target.pool.uid);
  slot.call_at = slot.create_at;
}

Result<bool> JobPool::Failed(const Target& target, const kube::ApiError& error) {
  switch (error.kind) {
    case kube::ApiErrorKind::kForbidden:
    case kube::ApiErrorKind::kInvalid:
    case kube::ApiErrorKind::kTooLarge:
      Refuse(target, {ReasonOf(error), error.message});
      return false;
    case kube::ApiErrorKind::kNotFound:
    case kube::ApiErrorKind::kConflict:
    case kube::ApiErrorKind::kAlreadyExists:
      return ReadLive(target);  // whatever it was then, decide on what it is now
    case kube::ApiErrorKind::kGone:
    case kube::ApiErrorKind::kUnauthenticated:
    case kube::ApiErrorKind::kTooManyRequests:
    case kube::ApiErrorKind::kUnavailable:
    case kube::ApiErrorKind::kDeadline:
    case kube::ApiErrorKind::kAborted:
    case kube::ApiErrorKind::kInternal:
      break;
  }
  MutexLock l(mu_);
  pools_[target.pool].slots[static_cast<std::size_t>(target.index)].read_live = false;
  return error.ToError();
}

Result<bool> JobPool::ReadLive(const Target& target) {
  const auto job = api_.Get(kJobResource, target.job, Limits());
  if (job.ok()) {
    Answer(target, *job);
    return true;
  }
  if (job.error().kind == kube::ApiErrorKind::kNotFound) {
    const auto cached = jobs_.Get(target.job.ns, target.job.name);
    Gone(target, cached ? cached->meta.uid : "");
    return true;
  }
  if (job.error().kind == kube::ApiErrorKind::kForbidden) {
    Refuse(target, {"Forbidden", job.error().message});
    return false;
  }
  return job.error().ToError();
}

Result<bool> JobPool::Prepare(const Target& first) {
  if (!options_.prepare) return true;
  {
    MutexLock l(mu_);
    if (pools_[first.pool].slots.front().call_at > clock_.Steady()) return false;
  }
  const Status ready = options_.prepare(first.job.ns);
  if (ready.ok()) return true;
  const ErrorCode code = ready.error().code;
  if (code != ErrorCode::kPermission && code != ErrorCode::kConflict) return ready.error();
  Refuse(first,
         {code == ErrorCode::kPermission ? "Forbidden" : "NameConflict", ready.error().message});
  return false;
}

Result<bool> JobPool::Create(const Target& target, const api::Backfill& backfill, int replicas) {
  std::string body =
      TRY(WorkerJob(backfill, target.pool.stage, target.index, replicas, options_.job));
  const auto made = api_.Create(kJobResource, target.job.ns, std::move(body), Limits());
  if (!made.ok()) {
    // Without the namespace there is nothing to read.
    if (made.error().kind == kube::ApiErrorKind::kNotFound) return made.error().ToError();
    return Failed(target, made.error());
  }
  Answer(target, *made);
  return true;
}

Result<bool> JobPool::Patch(const Target& target, const std::string& patch) {
  const auto patched = api_.Patch(kJobResource, target.job, patch, {}, Limits());
  if (!patched.ok()) return Failed(target, patched.error());
  Answer(target, *patched);
  return true;
}

Result<bool> JobPool::Delete(const Target& target, const kube::Job& job, const std::string& why) {
  Log(LogLevel::kInfo, "deleting a worker Job",
      {{"job", target.job.ns + "/" + target.job.name}, {"why", why}});
  kube::DeleteOptions options{.propagation = kube::Propagation::kForeground, .uid = job.meta.uid};
  {
    MutexLock l(mu_);
    if (pools_[target.pool].namespace_goes) options.propagation = kube::Propagation::kBackground;
  }
  const auto deleted = api_.Delete(kJobResource, target.job, options, Limits());
  if (!deleted.ok()) return Failed(target, deleted.error());
  MutexLock l(mu_);
  Slot& slot = pools_[target.pool].slots[static_cast<std::size_t>(target.index)];
  slot.deleting_uid = job.meta.uid;
  slot.deleting_at = clock_.Steady();
  slot.live_uid.clear();
  return true;
}

Status JobPool::Drive(const Target& target, const Decide& decide, const api::Backfill* backfill,
                      const WantedJob& wanted) {
  for (int tries = 0; tries < kTries; ++tries) {
    JobPtr seen;
    bool read_live = false;
    bool may_create = false;
    {
      MutexLock l(mu_);
      Slot& slot = pools_[target.pool].slots[static_cast<std::size_t>(target.index)];
      const Time now = clock_.Steady();
      if (slot.call_at > now) return Ok{};
      seen = Seen(slot, target.job);
      if (backfill != nullptr && wanted.replicas > 0) NoteEnds(slot, seen, *backfill, wanted);
      read_live = slot.read_live;
      may_create = slot.create_at <= now;
    }
    const JobStep step = decide(seen.get());
    Result<bool> again = false;
    switch (step.kind) {
      case Kind::kNothing:
        // What Stop() finds nowhere may have been made by a predecessor a moment ago (R22).
        if (backfill != nullptr || seen != nullptr || read_live) {
          Heal(target);
          return Ok{};
        }
        again = ReadLive(target);
        break;
      case Kind::kAwait:
        if (!IsOwnedBy(*seen, target.pool.uid)) ForgetForeign(target);
        return Ok{};
      case Kind::kConflict:
        Refuse(target, {"NameConflict", step.why});
        ForgetForeign(target);
        return Ok{};
      case Kind::kCreate:
        if (!may_create) return Ok{};
        again = read_live ? Create(target, *backfill, wanted.replicas) : ReadLive(target);
        break;
      case Kind::kDelete:
        again = read_live ? Delete(target, *seen, step.why) : ReadLive(target);
        break;
      case Kind::kPatch:
        again = Patch(target, step.patch);
        break;
    }
    if (!again.ok()) return again.error();
    if (!*again) return Ok{};
  }
  return Error{ErrorCode::kConflict, "the Job " + target.job.name +
                                         " is being changed by somebody else, again and again"};
}

Status JobPool::Scale(const api::Backfill& backfill, Stage stage, int replicas) {
  if (!jobs_.HasSynced() || !pods_.HasSynced())
    return Error{ErrorCode::kUnavailable, "Jobs and pods have not been listed yet"};
  const StageKey key = KeyOf(backfill, stage);
  const WantedJob any = Wanted(backfill);
  {
    MutexLock l(mu_);
    Pool& pool = pools_[key];
    pool.wanted = replicas;
    BeginAnewIfChanged(pool, any);
    if (pool.namespace_goes) return Ok{};
  }
  if (replicas > 0 && !TRY(Prepare(TargetOf(key, 0)))) return Ok{};
  bool refused = false;
  for (int p = 0; p < kMaxPools; ++p) {
    const Target target = TargetOf(key, p);
    const WantedJob wanted = OfPool(any, p, replicas);
    // R30: no more of these. Those that are not wanted are let go all the same.
    if (refused && wanted.replicas > 0) continue;
    TRY(Drive(
            target, [&wanted](const kube::Job* seen) { return NextStep(seen, wanted); }, &backfill,
            wanted)
            .Annotate("Job " + target.job.ns + "/" + target.job.name));
    MutexLock l(mu_);
    refused = refused || pools_[key].slots[static_cast<std::size_t>(p)].trouble.has_value();
  }
  return Ok{};
}

Status JobPool::Stop(const StageKey& key) {
  if (!jobs_.HasSynced() || !pods_.HasSynced())
    return Error{ErrorCode::kUnavailable, "Jobs and pods have not been listed yet"};
  {
    MutexLock l(mu_);
    Pool& pool = pools_[key];
    // At once, though a creation was refused; what is refused from then on is not asked for again
    // before its time.
    if (pool.wanted != 0)
      for (Slot& slot : pool.slots) slot.call_at = Time{};
    pool.wanted = 0;
  }
  const auto decide = [&key](const kube::Job* seen) -> JobStep {
    if (seen == nullptr || !IsOwnedBy(*seen, key.uid) || seen->IsFinished() ||
        !seen->meta.deletion_time.empty())
      return {};
    return {.kind = Kind::kDelete, .why = "its workers are not wanted any more"};
  };
  Status result = Ok{};
  for (int p = 0; p < kMaxPools; ++p) {
    const Target target = TargetOf(key, p);
    const Status stopped = Drive(target, decide, nullptr, {});
    if (!stopped.ok() && result.ok())  // the others are deleted all the same
      result = stopped.error().Annotate("Job " + target.job.ns + "/" + target.job.name);
  }
  return result;
}

}  // namespace backfill::reconcile
