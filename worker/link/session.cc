#include "worker/link/session.h"

#include <algorithm>
#include <set>

#include "base/log.h"
#include "worker/link/translate.h"

namespace backfill::worker {
namespace {

constexpr Duration kEarlyReportGap = 20ms;
constexpr Duration kIdleReportGap = 10ms;
constexpr Duration kDrainWithoutStream = 2s;

std::string Describe(const LeaseKey& key) {
  return std::to_string(key.shard.value) + "/" + std::to_string(key.attempt.value);
}

}  // namespace

Session::Session(SessionOptions options, Host& host)
    : options_(std::move(options)),
      host_(host),
      engine_({.seed = options_.seed}, {}),
      conversation_(options_, host) {}

// ---- streams

std::uint64_t Session::Send(v1::WorkerMessage message, Time now) {
  if (conversation_.stream() == 0) return 0;
  // Counted from before the sending: a later moment would lengthen the lease.
  const std::uint64_t sequence = engine_.clock().OnSend(now);
  message.set_sequence(sequence);
  if (!host_.Send(conversation_.stream(), std::move(message))) OnStreamLost(now);
  return sequence;
}

void Session::OnStreamLost(Time now) {
  // An attempt that came to nothing is no new loss: the wait for a stream must end.
  if (welcomed()) offline_since_ = now;
  conversation_.LoseStream();
  if (drain_until_) host_.ReconnectSoon();
}

void Session::OnConnected(std::uint64_t stream, Time now) {
  draining_sequence_ = 0;
  grant_sequence_ = 0;  // where the rate is not shared, numbers begin anew with every stream
  engine_.Expire(now);
  engine_.clock().BeginStream();
  engine_.failures().BeginStream();
  samples_.insert(samples_.begin(), sent_samples_.second.begin(), sent_samples_.second.end());
  sent_samples_ = {};

  v1::WorkerMessage message = conversation_.OnConnected(stream);
  v1::Hello& hello = *message.mutable_hello();
  hello.set_partitions(true);
  std::erase_if(held_, [&](const auto& h) { return !engine_.Holds(h.first); });
  for (const LeaseState& state : engine_.Leases()) {
    Held& held = held_[state.key];
    held.first_reported = 1;
    held.pending.reset();
    held.done_sent = false;
    // Only what was accepted before: the failures that later progress counts have to come first,
    // and Hello is the first.
    LeaseState known = held.accepted;
    known.end = state.end;
    known.in_flight = state.in_flight;
    *hello.add_held() = ProgressOf(known, epoch_);
  }
  const TokenBucket& bucket = engine_.bucket();
  if (bucket.InForce(now)) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(bucket.grant().expires - now);
    hello.mutable_grant()->set_records_per_second(bucket.grant().records_per_second);
    hello.mutable_grant()->set_valid_for_ms(static_cast<std::uint32_t>(left.count()));
    hello.mutable_grant()->set_epoch(grant_epoch_.value);
  }
  Send(std::move(message), now);
}

void Session::OnDisconnected(std::uint64_t stream, const Error& error, Time now) {
  if (stream == conversation_.stream()) OnStreamLost(now);
  conversation_.OnDisconnected(stream, error, now);
}

void Session::OnMessage(std::uint64_t stream, const v1::CoordinatorMessage& message, Time now) {
  if (!conversation_.Hears(stream)) return;
  if (message.has_welcome()) {
    OnWelcome(message.welcome(), now);
    return;
  }
  if (!welcomed()) return;  // nothing else means anything before it
  OnAnswered(message.answers());
  switch (message.body_case()) {
    case v1::CoordinatorMessage::kWelcome:
      break;
    case v1::CoordinatorMessage::kLease:
      OnLease(message.lease(), message.answers(), now);
      break;
    case v1::CoordinatorMessage::kGrant:
      OnGrant(message.grant(), message.answers(), now);
      break;
    case v1::CoordinatorMessage::kPause:
      engine_.SetPaused(message.pause().paused());
      break;
    case v1::CoordinatorMessage::kRevoke:
      if (message.revoke().lease().epoch() == epoch_.value) {
        Drop(KeyOf(message.revoke().lease()), message.revoke().reason());
      }
      break;
    case v1::CoordinatorMessage::kAck:
      OnAck(message.ack(), message.answers(), now);
      break;
    case v1::CoordinatorMessage::kNoMoreWork:
      EndAs(SessionEnd::kNoMoreWork);
      break;
    case v1::CoordinatorMessage::kShrink:
      if (message.shrink().lease().epoch() == epoch_.value) {
        engine_.ShrinkLease(KeyOf(message.shrink().lease()), message.shrink().end());
      }
      break;
    case v1::CoordinatorMessage::kLimits:
      OnLimits(message.limits());
      break;
    case v1::CoordinatorMessage::kPartitionCaps:
      OnPartitionCaps(message.partition_caps(), message.answers(), now);
      break;
    case v1::CoordinatorMessage::BODY_NOT_SET:
      break;  // of a newer version: not for us
  }
}

void Session::OnWelcome(const v1::Welcome& welcome, Time now) {
  if (!conversation_.OnWelcome(welcome)) return;
  epoch_ = Epoch{welcome.epoch()};
  engine_.Configure(welcome.workload().batch_size(), std::clamp(welcome.max_leases(), 1U, 16U),
                    std::chrono::milliseconds(welcome.fence_ms()));
  host_.SetReconnectWindow(std::chrono::milliseconds(welcome.reconnect_window_ms()));
  OnLimits(welcome.limits());
  engine_.SetPaused(welcome.paused());

  std::set<LeaseKey> kept;
  for (const v1::LeaseRef& ref : welcome.kept()) kept.insert(KeyOf(ref));
  for (const LeaseState& state : engine_.Leases()) {
    if (!kept.contains(state.key)) Drop(state.key, "not taken up by the coordinator");
  }
  if (drain_until_) return TickDrain(now);
  Report(ReportKind::kPeriodic, now);
}

void Session::OnLimits(const v1::Limits& limits) {
  engine_.SetLimits(LimitsOf(limits));
  const Duration period = ReportPeriodOf(limits);
  next_report_ = std::min(next_report_, last_report_ + period);
  report_period_ = period;
}

void Session::OnLease(const v1::Lease& lease, std::uint64_t answers, Time now) {
  if (lease.lease().epoch() != epoch_.value) return;
  if (lease.has_extent()) host_.OnExtent(lease.extent());
  const LeaseOffer offer = OfferOf(lease);
  const bool known = engine_.Holds(offer.key);
  const Status added = engine_.AddLease(offer, answers, now);
  if (!added) {
    Log(LogLevel::kWarning, "a lease was not taken",
        {{"lease", Describe(offer.key)}, {"error", added.error().message}});
    return;
  }
  if (known) return;
  Held& held = held_[offer.key] = {};
  held.accepted = {.key = offer.key,
                   .end = lease.end(),
                   .cursor = lease.cursor(),
                   .done_above = lease.done_above(),
                   .counts = offer.counts};
  draining_sequence_ = 0;  // given back as well
}

void Session::OnGrant(const v1::Grant& grant, std::uint64_t answers, Time now) {
  if (grant.sequence() < grant_sequence_) return;
  grant_sequence_ = grant.sequence();
  // An answer to a message that nobody remembers gives no time: a grant of nothing.
  const auto sent = engine_.clock().SentAt(answers);
  const Time expires = sent ? *sent + std::chrono::milliseconds(grant.valid_for_ms()) : now;
  engine_.SetTargetPressure(grant.pressure());
  engine_.SetGrant({grant.sequence(), grant.records_per_second(), grant.burst(), expires}, now);
  grant_epoch_ = epoch_;
}

void Session::OnPartitionCaps(const v1::PartitionCaps& caps, std::uint64_t answers, Time now) {
  // As for a grant.
  const auto sent = engine_.clock().SentAt(answers);
  const Time expires = sent ? *sent + std::chrono::milliseconds(caps.valid_for_ms()) : now;
  engine_.SetPartitionCaps(CapsOf(caps, expires), now);
}

void Session::OnAnswered(std::uint64_t answers) {
  if (answers >= sent_samples_.first) sent_samples_ = {};
  for (auto& [key, held] : held_) {
    if (!held.pending || held.pending->first > answers) continue;
    held.accepted = std::move(held.pending->second);
    held.pending.reset();
  }
}

void Session::OnAck(const v1::Ack& ack, std::uint64_t answers, Time now) {
  engine_.failures().OnAck(answers, ack.failures_durable());
  for (const LeaseKey& key : engine_.Expire(now)) Drop(key, "its fence has passed");
  std::set<LeaseKey> confirmed;
  for (const v1::LeaseRef& ref : ack.held()) {
    if (ref.epoch() == epoch_.value) confirmed.insert(KeyOf(ref));
  }
  for (const LeaseKey& key : confirmed) engine_.clock().Extend(key, answers, now);
  for (const v1::LeaseRef& ref : ack.done()) {
    if (ref.epoch() != epoch_.value) continue;
    engine_.OnDurable(KeyOf(ref));
    Drop(KeyOf(ref), {});
  }
  if (drain_until_ && draining_sequence_ != 0 && answers >= draining_sequence_)
    return EndAs(SessionEnd::kDrained);
  for (const LeaseState& state : engine_.Leases()) {
    // One that is complete leaves `held` as soon as its end is on record, and comes in `done` once
    // that is durable.
    const Held& held = held_[state.key];
    if (state.complete || confirmed.contains(state.key)) continue;
    if (held.first_reported != 0 && held.first_reported <= answers) Drop(state.key, "lost");
  }
}

void Session::Drop(const LeaseKey& key, std::string_view why) {
  engine_.DropLease(key);
  held_.erase(key);
  if (!why.empty())
    Log(LogLevel::kWarning, "a lease ended",
        {{"lease", Describe(key)}, {"reason", std::string(why)}});
}

// ---- reports

void Session::Tick(Time now) {
  for (const LeaseKey& key : engine_.Expire(now)) Drop(key, "its fence has passed");
  if (ended()) return;
  // A report period of failures could be more than the buffer holds.
  if (welcomed() && engine_.failures().unsent() >= FailureBuffer::kPerMessage) SendFailures(now);
  if (drain_until_) return TickDrain(now);
  if (!welcomed()) return;
  if (std::exchange(tell_trouble_, false)) SendSourceTrouble(now);
  if (now >= next_report_) {
    Report(ReportKind::kPeriodic, now);
  } else if (now >= wake_at()) {
    Report(ReportKind::kEarly, now);
  }
}

Time Session::wake_at() const {
  if (!welcomed() || drain_until_ || ended() || engine_.news() == reported_news_)
    return Time::max();
  // A worker that has nothing left to send waits for the answer with all that it could do.
  const Duration gap = engine_.HasWork() ? std::max(kEarlyReportGap, report_period_ / 10)
                                         : std::max(kIdleReportGap, report_period_ / 20);
  return last_report_ + gap;
}

void Session::Report(ReportKind kind, Time now) {
  last_report_ = now;
  next_report_ = now + report_period_;
  reported_news_ = engine_.news();
  const std::vector<LeaseState> states = engine_.Leases();
  SendSamples(now);
  if (source_trouble_) SendSourceTrouble(now);
  SendFailures(now);
  for (const LeaseState& state : states) {
    if (state.complete && (kind == ReportKind::kPeriodic || !held_[state.key].done_sent))
      SendShardDone(state, now);
  }
  SendProgress(states, now);
}

void Session::SendSamples(Time now) {
  for (TargetSample& s : host_.TakeSamples()) samples_.push_back(std::move(s));
  if (samples_.empty() || !sent_samples_.second.empty()) return;
  v1::WorkerMessage message;
  for (const TargetSample& s : samples_) {
    v1::DryRunSample& sample = *message.mutable_dry_run_samples()->add_samples();
    sample.set_shard(s.shard.value);
    sample.set_key(s.key);
    sample.set_request(s.request);
  }
  sent_samples_ = {Send(std::move(message), now), std::exchange(samples_, {})};
}

void Session::SetSourceTrouble(const std::optional<Error>& trouble) {
  const auto same = [](const std::optional<Error>& a, const std::optional<Error>& b) {
    return a.has_value() == b.has_value() &&
           (!a || (a->code == b->code && a->message == b->message));
  };
  if (same(source_trouble_, trouble)) return;
  source_trouble_ = trouble;
  tell_trouble_ = true;
}

void Session::SendSourceTrouble(Time now) {
  tell_trouble_ = false;
  v1::WorkerMessage message;
  *message.mutable_source_trouble() = TroubleOf(source_trouble_);
  Send(std::move(message), now);
}

void Session::SendFailures(Time now) {
  while (engine_.failures().unsent() > 0 && conversation_.stream() != 0) {
    const FailureBuffer::Message failures =
        engine_.failures().Take(engine_.clock().last_sent() + 1);
    v1::WorkerMessage message;
    *message.mutable_record_failures()->mutable_lease() = RefOf(failures.lease, epoch_);
    for (const FailedRecord& f : failures.failures) {
      *message.mutable_record_failures()->add_failures() = FailureOf(f);
    }
    Send(std::move(message), now);
  }
}

void Session::SendShardDone(const LeaseState& state, Time now) {
  v1::WorkerMessage message;
  *message.mutable_shard_done()->mutable_lease() = ProgressOf(state, epoch_);
  Remember(state, Send(std::move(message), now));
  held_[state.key].done_sent = true;
}

void Session::SendProgress(const std::vector<LeaseState>& states, Time now) {
  v1::WorkerMessage message;
  v1::Progress& progress = *message.mutable_progress();
  for (const LeaseState& state : states) {
    if (!state.complete) *progress.add_leases() = ProgressOf(state, epoch_);
  }
  const EngineStats& stats = engine_.stats();
  progress.set_shards_wanted(engine_.LeasesWanted());
  progress.set_wanted_records_per_second(engine_.RecordsPerSecondWanted());
  if (grant_epoch_ == epoch_) progress.set_grant_sequence(engine_.bucket().grant().sequence);
  progress.set_hold_ms(static_cast<std::uint32_t>(
      std::chrono::ceil<std::chrono::milliseconds>(engine_.AskedToHold(now)).count()));
  progress.set_target_trouble(TargetTroubleOf(engine_.TargetTrouble(now)));
  *progress.mutable_held_back() = HeldBackOf(engine_.inner_loop());
  progress.set_attempts(stats.attempts);
  progress.set_retries(stats.retries);
  for (const PartitionReport& report : engine_.ReportPartitions())
    *progress.add_partitions() = PartitionProgressOf(report);
  for (const std::uint64_t n : stats.latency) progress.mutable_latency()->add_counts(n);
  const std::uint64_t sequence = Send(std::move(message), now);
  for (const LeaseState& state : states) {
    if (!state.complete) Remember(state, sequence);
  }
}

void Session::Remember(const LeaseState& state, std::uint64_t sequence) {
  Held& held = held_[state.key];
  if (held.first_reported == 0) held.first_reported = sequence;
  // One at a time: replaced by every report, it would never be answered where answers take longer
  // than a period.
  if (!held.pending) held.pending = {sequence, state};
}

// ---- the end

void Session::Drain(Time now) {
  if (drain_until_) return;
  Log(LogLevel::kInfo, "draining");
  engine_.Drain();
  drain_until_ = now + options_.drain_grace;
  if (!welcomed()) host_.ReconnectSoon();
  TickDrain(now);
}

void Session::TickDrain(Time now) {
  const std::vector<LeaseState> states = engine_.Leases();
  if (now >= *drain_until_ || !conversation_.begun()) return EndAs(SessionEnd::kDrained);
  if (!welcomed()) {
    // Nobody is there to take anything back. What is held comes back by the coordinator's clock.
    const Time missing_since = std::max(offline_since_, *drain_until_ - options_.drain_grace);
    if (states.empty() || now >= missing_since + kDrainWithoutStream) EndAs(SessionEnd::kDrained);
    return;
  }
  const bool quiet =
      std::all_of(states.begin(), states.end(), [](const auto& s) { return s.in_flight == 0; });
  // Short of time, what is at rest goes back; what is not is left to the coordinator's clock.
  const bool late = now >= *drain_until_ - options_.drain_grace / 10;
  if (draining_sequence_ == 0 && (quiet || late)) return SendDraining(states, now);
  if (now >= next_report_) Report(ReportKind::kPeriodic, now);
}

void Session::SendDraining(const std::vector<LeaseState>& states, Time now) {
  last_report_ = now;
  next_report_ = now + report_period_;
  SendSamples(now);
  SendFailures(now);
  v1::WorkerMessage message;
  message.mutable_draining();
  for (const LeaseState& state : states) {
    if (state.complete) {
      SendShardDone(state, now);
    } else if (state.in_flight == 0) {
      *message.mutable_draining()->add_leases() = ProgressOf(state, epoch_);
    }
  }
  draining_sequence_ = Send(std::move(message), now);
}

}  // namespace backfill::worker
