#include "worker/engine/engine.h"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <utility>

namespace backfill::worker {
namespace {

// Leases that are complete and wait for their acknowledgement, beside those that are worked on.
constexpr std::size_t kMaxUnacknowledged = 64;
// Of small shards more may come than there is room for: those that were on their way when others
// were asked for. One that is refused stands for two lease times, as nobody works on it.
constexpr std::size_t kMaxOnTheirWay = 256;
constexpr std::size_t kMaxMessage = 256;
// Records that one note speaks for: fewer notes, and as many more that may seem to have been sent.
constexpr std::uint64_t kNoteStep = 64;
constexpr double kProbeEverySeconds = 5;

std::string CutMessage(std::string message) {
  if (message.size() > kMaxMessage) message.resize(kMaxMessage);
  return message;
}

bool Retryable(const Verdict& v) {
  return v.outcome == Outcome::kFailed &&
         (v.failure == FailureClass::kTransient || v.failure == FailureClass::kTimeout);
}

}  // namespace

Engine::Engine(const EngineOptions& options, const EngineLimits& limits)
    : limits_(limits),
      clock_(options.fence),
      budget_(limits.retry_budget_percent),
      hold_(options.seed),
      backoff_(100ms, 30s, options.seed + 1) {
  inner_.SetHeadroom(limits.latency_headroom);
  Configure(options.batch_size, options.max_leases, options.fence);
}

void Engine::Configure(std::uint32_t batch_size, std::uint32_t max_leases, Duration fence) {
  batch_size_ = std::clamp<std::uint32_t>(batch_size, 1, Window::kAhead);
  max_leases_ = max_leases;
  clock_.SetFence(fence);
}

// ---- leases

Status Engine::AddLease(const LeaseOffer& offer, std::uint64_t answers, Time now) {
  if (FindRun(offer.key) != nullptr) {
    clock_.Extend(offer.key, answers, now);
    return Ok{};
  }
  if (runs_.size() >= max_leases_ + kMaxUnacknowledged + kMaxOnTheirWay) {
    return Error{ErrorCode::kAborted, "more leases than were asked for"};
  }
  auto window = Window::Restore(offer.range, offer.cursor, offer.done_above, offer.counts);
  if (!window) return window.error();
  if (!clock_.Add(offer.key, answers, now))
    return Error{ErrorCode::kExpired, "the lease came too late"};
  if (!HasWork()) ++news_;
  runs_.push_back(std::make_unique<LeaseRun>(next_serial_++, offer.key, *window));
  if (partitions_ != nullptr) runs_.back()->WaitByPartition(*partitions_);
  if (runs_.back()->complete()) ++news_;
  return Ok{};
}

void Engine::DropLease(const LeaseKey& key) {
  clock_.Remove(key);
  failures_.Forget(key);
  const auto it =
      std::find_if(runs_.begin(), runs_.end(), [&](const auto& r) { return r->key() == key; });
  if (it == runs_.end()) return;
  const std::uint64_t serial = (*it)->serial();
  runs_.erase(it);
  std::erase_if(at_once_, [&](const Work& w) { return w.run == serial; });
  for (auto& lane : lanes_) std::erase_if(lane, [&](const Work& w) { return w.run == serial; });
  if (std::erase_if(retries_, [&](const Waiting& w) { return w.work.run == serial; }) > 0) {
    std::make_heap(retries_.begin(), retries_.end());
  }
}

void Engine::ShrinkLease(const LeaseKey& key, Position end) {
  LeaseRun* run = FindRun(key);
  if (run == nullptr || run->complete()) return;
  run->Shrink(end);
  if (run->complete()) ++news_;
}

std::vector<LeaseKey> Engine::Expire(Time now) {
  std::vector<LeaseKey> expired = clock_.Expire(now);
  for (const LeaseKey& key : expired) DropLease(key);
  return expired;
}

LeaseRun* Engine::FindRun(std::uint64_t serial) {
  for (const auto& r : runs_) {
    if (r->serial() == serial) return r.get();
  }
  return nullptr;
}

LeaseRun* Engine::FindRun(const LeaseKey& key) {
  for (const auto& r : runs_) {
    if (r->key() == key) return r.get();
  }
  return nullptr;
}

bool Engine::Holds(const LeaseKey& key) const {
  return std::any_of(runs_.begin(), runs_.end(), [&](const auto& r) { return r->key() == key; });
}

std::vector<LeaseState> Engine::Leases() const {
  std::vector<LeaseState> states;
  states.reserve(runs_.size());
  for (const auto& r : runs_) {
    const Window& w = r->window();
    states.push_back(
        {r->key(), w.end(), w.cursor(), w.DoneAbove(), w.counts(), r->in_flight, r->complete()});
  }
  return states;
}

std::uint32_t Engine::LeasesWanted() const {
  if (draining_) return 0;
  const auto open =
      std::count_if(runs_.begin(), runs_.end(), [](const auto& r) { return !r->complete(); });
  // What waits for a hot partition is no reason to do nothing else.
  const auto room = static_cast<std::int64_t>(max_leases_) + HeldUpRuns() - open;
  const auto total =
      static_cast<std::int64_t>(max_leases_ + kMaxUnacknowledged) - std::ssize(runs_);
  return static_cast<std::uint32_t>(std::max<std::int64_t>(0, std::min(room, total)));
}

void Engine::SetLimits(const EngineLimits& limits) {
  limits_ = limits;
  budget_.SetPercent(limits.retry_budget_percent);
  inner_.SetHeadroom(limits.latency_headroom);
}

// ---- reading

std::optional<Engine::Reading> Engine::WantsRecords() const {
  // Those that cannot be sent become failures at once.
  if (draining_ || failures_.full()) return std::nullopt;
  for (const auto& r : runs_) {
    if (const auto wants = r->Wants(batch_size_))
      return Reading{r->serial(), wants->from, wants->max};
  }
  return std::nullopt;
}

Status Engine::OnRecords(std::uint64_t run, std::vector<Record> records) {
  LeaseRun* r = FindRun(run);
  if (r == nullptr) return Ok{};
  const auto wanted = r->Wants(batch_size_);
  const bool was_complete = r->complete();
  for (Record& bad : r->OnRecords(std::move(records))) {
    failures_.Add(r->key(), {.position = bad.position,
                             .key = std::move(bad.key),
                             .message = CutMessage(std::move(bad.problem))});
  }
  if (r->complete() && !was_complete) ++news_;
  const auto wants = r->Wants(batch_size_);
  if (wanted && wants && wants->from == wanted->from) {
    return Error{ErrorCode::kInvalid,
                 "the source has no record at position " + std::to_string(wanted->from)};
  }
  return Ok{};
}

// ---- sending

std::optional<Dispatch> Engine::Next(Time now) {
  wake_ = Time::max();
  Pace(now);
  if (draining_ || paused_ || busy() || failures_.full()) return std::nullopt;
  if (!hold_.Allows(in_flight_, now)) {
    if (hold_.until() > now) wake_ = hold_.until();
    return std::nullopt;
  }
  if (partitions_ != nullptr) return NextByPartition(now);
  if (!at_once_.empty()) {
    LeaseRun* run = FindRun(at_once_.front().run);
    if (run == nullptr) std::abort();  // DropLease() removes this
    if (!clock_.MaySend(run->key(), now)) return std::nullopt;
    if (!TakeTokens(at_once_.front().records.size(), now)) return std::nullopt;
    Work work = std::move(at_once_.front());
    at_once_.pop_front();
    return Start(std::move(work), *run, now);
  }
  if (auto retry = NextRetry(now)) return retry;
  return NextFirst(now);
}

std::optional<Dispatch> Engine::NextRetry(Time now) {
  if (retries_.empty()) return std::nullopt;
  const Waiting& top = retries_.front();
  if (top.due > now) {
    wake_ = top.due;
    return std::nullopt;
  }
  const auto size = static_cast<std::uint32_t>(top.work.records.size());
  if (!budget_.Allows(size, now)) {
    wake_ = now + 100ms;
    return std::nullopt;
  }
  LeaseRun* run = FindRun(top.work.run);
  if (run == nullptr) std::abort();  // DropLease() removes its retries
  if (!clock_.MaySend(run->key(), now) || !TakeTokens(size, now)) return std::nullopt;
  std::pop_heap(retries_.begin(), retries_.end());
  Work work = std::move(retries_.back().work);
  retries_.pop_back();
  return Start(std::move(work), *run, now);
}

std::optional<Dispatch> Engine::NextFirst(Time now) {
  for (const auto& run : runs_) {
    const std::uint32_t records = run->NextBatch(batch_size_);
    if (records == 0 || !clock_.MaySend(run->key(), now)) continue;
    if (!IsNoted(*run, records)) {
      wake_ = std::min(wake_, now + 1s);
      continue;
    }
    if (!TakeTokens(records, now)) return std::nullopt;
    Work work{.run = run->serial()};
    if (!free_slots_.empty())
      work.records = std::move(slots_[free_slots_.back()].records);  // its memory, again
    run->TakeBatch(records, work.records);
    return Start(std::move(work), *run, now);
  }
  return std::nullopt;
}

// Whether that many more may be sent for the first time.
bool Engine::IsNoted(LeaseRun& run, std::uint32_t records) {
  const std::uint64_t after = run.sent_or_done() + records;
  if (notes_ == nullptr || after <= run.noted) return true;
  if (!notes_->Raise(run.key(), after + kNoteStep - 1)) return false;
  run.noted = after + kNoteStep - 1;
  return true;
}

void Engine::Pace(Time now) {
  inner_.Tick(now);
  // One batch every few seconds shows when it is over, whatever the grant.
  const double granted = bucket_.grant().records_per_second;
  const double probe = batch_size_ / kProbeEverySeconds;
  const double least = granted > probe ? probe / granted : 1.0;
  bucket_.SetShare(std::max(inner_.share(), least), batch_size_, now);
}

bool Engine::TakeTokens(std::size_t records, Time now) {
  const auto n = static_cast<std::uint32_t>(records);
  if (bucket_.Take(n, now)) return true;
  wake_ = std::min(wake_, bucket_.ReadyAt(n, now));
  return false;
}

std::optional<Dispatch> Engine::Start(Work work, LeaseRun& run, Time now) {
  const auto n = static_cast<std::uint32_t>(work.records.size());
  if (work.attempts == 0) {
    budget_.OnFirstAttempts(n, now);
  } else {
    stats_.retries += n;
    if (work.retry) budget_.OnRetryStarted(n, now);
  }
  ++work.attempts;
  stats_.attempts += n;
  run.in_flight += n;
  ++in_flight_;
  std::uint32_t slot = 0;
  if (free_slots_.empty()) {
    slot = static_cast<std::uint32_t>(slots_.size());
    slots_.push_back(std::move(work));
  } else {
    slot = free_slots_.back();
    free_slots_.pop_back();
    slots_[slot] = std::move(work);
  }
  return Dispatch{slot, run.key().shard, &slots_[slot].records};
}

// ---- outcomes

void Engine::OnResult(std::uint32_t slot, BatchResult result, Time now) {
  Work work = std::move(slots_[slot]);
  free_slots_.push_back(slot);
  --in_flight_;
  if (work.retry) budget_.OnRetryEnded();
  if (result.delivery == Delivery::kAnswered) CountLatency(result.latency);
  if (result.delivery != Delivery::kNotSent && !result.withdrawn && !result.unreachable) {
    const auto n = static_cast<std::uint32_t>(work.records.size());
    inner_.OnAnswer(n, result.latency, result.overloaded, now);
  }
  if (result.retry_after) {
    if (hold_.AskedFor(now) == Duration(0) && *result.retry_after > Duration(0)) ++news_;
    hold_.OnRetryAfter(*result.retry_after, now);
  }
  if (result.unreachable) {
    hold_.OnUnreachable(now, result.verdict.message);
  } else if (result.delivery != Delivery::kNotSent) {
    hold_.OnAnswer();
  }
  if (!result.withdrawn) {
    if (!result.per_record && Retryable(result.verdict)) {
      budget_.OnTransientFailure();
    } else if (work.retry && result.delivery == Delivery::kAnswered) {
      budget_.OnRetryAnswered(now);
    }
  }
  LeaseRun* run = FindRun(work.run);
  if (run == nullptr)
    return;  // the lease was lost meanwhile: whoever has it now will do these records
  run->in_flight -= static_cast<std::uint32_t>(work.records.size());
  if (result.withdrawn) {  // it costs no attempt
    --work.attempts;
    at_once_.push_back(std::move(work));
    return;
  }
  const bool was_complete = run->complete();
  if (!result.per_record && result.verdict.outcome != Outcome::kFailed) {
    for (const Record& r : work.records) run->Settle(r.position, result.verdict.outcome);
    slots_[slot].records = std::move(work.records);  // keeps the memory for the next batch
  } else if (result.per_record) {
    SettleEach(*run, std::move(work), result, now);
  } else {
    SettleWhole(*run, std::move(work), result, now);
  }
  if (run->complete() && !was_complete) ++news_;
}

void Engine::SettleWhole(LeaseRun& run, Work work, const BatchResult& result, Time now) {
  const bool retryable = Retryable(result.verdict);
  // What could not even be sent during a short outage costs no attempt.
  if (result.unreachable && hold_.InShortOutage(now)) return Retry(std::move(work), now);
  if (retryable) ++work.failures;
  if (retryable && work.failures < limits_.attempts) return Retry(std::move(work), now);
  // One bad record may be the reason for all of them: halves, until it stands alone. Of a batch
  // that ran out of attempts each part has one more.
  if (work.records.size() > 1) return Split(std::move(work));
  Settle(run, work, work.records.front(), result.verdict, result.delivery);
}

void Engine::SettleEach(LeaseRun& run, Work work, const BatchResult& result, Time now) {
  std::vector<const Verdict*> verdicts(work.records.size(), &result.verdict);
  for (const auto& [index, verdict] : result.records) {
    if (index < verdicts.size()) verdicts[index] = &verdict;
  }
  Work again{.run = work.run,
             .attempts = work.attempts,
             .failures = work.failures + 1,
             .partition = work.partition};
  for (std::size_t i = 0; i < verdicts.size(); ++i) {
    if (Retryable(*verdicts[i]) && again.failures < limits_.attempts) {
      again.records.push_back(std::move(work.records[i]));
    } else {
      Settle(run, work, work.records[i], *verdicts[i], result.delivery);
    }
  }
  if (!again.records.empty()) Retry(std::move(again), now);
}

void Engine::Settle(LeaseRun& run, const Work& work, const Record& record, const Verdict& verdict,
                    Delivery delivery) {
  run.Settle(record.position, verdict.outcome);
  if (verdict.outcome != Outcome::kFailed) return;
  std::string message =
      delivery == Delivery::kUnanswered ? "sent, no answer: " + verdict.message : verdict.message;
  failures_.Add(run.key(), {record.position, record.key, verdict.failure, work.attempts,
                            CutMessage(std::move(message))});
}

void Engine::Retry(Work work, Time now) {
  work.retry = true;
  retries_.push_back({now + backoff_.Wait(work.failures), std::move(work)});
  std::push_heap(retries_.begin(), retries_.end());
}

void Engine::Split(Work work) {
  const auto middle = work.records.begin() + std::ssize(work.records) / 2;
  Work second{.run = work.run,
              .attempts = work.attempts,
              .failures = work.failures,
              .partition = work.partition};
  second.records.assign(std::make_move_iterator(middle),
                        std::make_move_iterator(work.records.end()));
  work.records.erase(middle, work.records.end());
  // Not a share of the retry budget: at most two more sends per record and level, every one paid in
  // tokens.
  work.retry = false;
  at_once_.push_front(std::move(second));
  at_once_.push_front(std::move(work));
}

void Engine::CountLatency(Duration latency) {
  std::size_t bucket = 0;
  for (Duration bound = 500us; bucket + 1 < stats_.latency.size() && latency >= bound; bound *= 2)
    ++bucket;
  ++stats_.latency[bucket];
  const double seconds = std::chrono::duration<double>(latency).count();
  stats_.latency_seconds +=
      (seconds - stats_.latency_seconds) * (stats_.latency_seconds == 0 ? 1 : 0.01);
}

bool Engine::HasWork() const {
  return std::any_of(runs_.begin(), runs_.end(), [](const auto& r) { return !r->complete(); });
}

double Engine::RecordsPerSecondWanted() const {
  // A share that is not used is missing elsewhere.
  if (draining_ || !HasWork()) return 0;
  // Before anything was measured: as if the target answered within 10 ms.
  const double latency =
      stats_.latency_seconds > 0 ? std::max(stats_.latency_seconds, 20e-6) : 0.01;
  const double wanted = 1.2 * limits_.concurrency * batch_size_ / latency * inner_.share();
  return partitions_ == nullptr ? wanted : std::min(wanted, WantedByPartitions());
}

}  // namespace backfill::worker
