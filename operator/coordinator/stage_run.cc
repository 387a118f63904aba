#include "operator/coordinator/stage_run.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <variant>

#include "base/log.h"
#include "operator/coordinator/session_protocol.h"
#include "operator/coordinator/stage_messages.h"

namespace backfill::coordinator {
namespace {

using v1::CoordinatorMessage;

// Workers that wait for the retry budget hover just below it.
constexpr double kBudgetReached = 0.9;
// How soon the rate follows what workers say they could use.
constexpr Duration kShareEvery = 20ms;
// A target that asks for more is asked again.
constexpr Duration kMaxHold = 5min;

std::string ProcessName(const std::string& worker, const std::string& instance) {
  return worker + "/" + instance;
}

observe::WorkerTotals TotalsOf(const v1::Progress& progress) {
  observe::WorkerTotals totals{.attempts = progress.attempts(), .retries = progress.retries()};
  const auto& counts = progress.latency().counts();
  for (std::size_t i = 0; i < totals.latency.size() && static_cast<int>(i) < counts.size(); ++i)
    totals.latency[i] = counts[static_cast<int>(i)];
  return totals;
}

Error Unavailable(const char* text) { return {ErrorCode::kUnavailable, text}; }

}  // namespace

lease::LeaseOptions MakeLeaseOptions(const StageOptions& options, Duration target_timeout) {
  lease::LeaseOptions out;
  out.fence = options.fence;
  out.wire_time = target_timeout + options.wire_margin;
  out.ttl = std::max(options.min_ttl, out.fence + out.wire_time);
  out.recovery_freeze = out.ttl + options.recovery_margin;
  out.max_leases = options.max_leases;
  out.max_reserved = options.max_reserved;
  out.reserve_ahead = options.reserve_ahead;
  out.min_split = options.min_split;
  return out;
}

namespace {

throttle::RateShareOptions MakeShareOptions(const StageOptions& options, const StageSetup& setup) {
  throttle::RateShareOptions out = options.grants;
  out.times = setup.grants;
  // An earlier leader's grants may be in force, and its numbers must not be taken for ours.
  const bool predecessor =
      setup.epoch.value > 1 && setup.predecessors == lease::Predecessors::kMayLive;
  // Nobody knows for how long; it may have been as usual.
  const Duration longest = std::max(out.times.ttl, throttle::GrantTimes{}.ttl);
  out.learning = predecessor ? longest : Duration::zero();
  out.first_sequence = setup.epoch.value << 32;
  return out;
}

// Of leases that wait for a hot partition a worker may hold more, so as to go on with others.
constexpr int kMoreLeasesByPartition = 6;

lease::LeaseOptions MakeLeaseOptions(const StageOptions& options, const StageSetup& setup) {
  lease::LeaseOptions out = coordinator::MakeLeaseOptions(options, setup.target_timeout);
  if (!setup.workload.partition_by().empty()) out.max_leases += kMoreLeasesByPartition;
  return out;
}

}  // namespace

StageRun::StageRun(StageSetup setup, const StageOptions& options, const Clock& clock,
                   const Leadership& leadership, MessageSink& sink, LedgerWriter& writer)
    : lease_options_(MakeLeaseOptions(options, setup)),
      workload_(std::move(setup.workload)),
      options_(options),
      on_granted_(std::move(setup.on_granted)),
      epoch_(setup.epoch),
      clock_(clock),
      leadership_(leadership),
      sink_(sink),
      ledger_(std::move(setup.ledger)),
      failures_(std::move(setup.failures)),
      book_(lease_options_, ledger_, epoch_, clock.Steady(), setup.predecessors,
            setup.sent_at_most),
      flush_(ledger_, failures_, epoch_, writer, options, clock.Steady()),
      grants_(MakeShareOptions(options, setup), setup.batch_size),
      samples_(ledger_.chunks()),
      signals_(std::move(setup.signals)),
      report_period_(options.min_report_period) {
  if (!workload_.partition_by().empty()) partitions_.emplace(setup.grants);
  settings_.paused = true;
  book_.SetPaused(true);
}

// ---- what workers say

void StageRun::OnMessage(SessionId session, const v1::WorkerMessage& message,
                         std::optional<Time> arrived) {
  const bool hello = message.has_hello();
  if (!hello && !workers_.contains(session)) return;  // already dropped
  if (!Leads() || closing_ || flush_.failed()) {
    // Accepting it would promise what may be void. The worker repeats it to whoever leads.
    return Drop(session, Unavailable("not served here"));
  }
  if (const auto why = WhyMalformed(message)) {
    return Drop(session, {ErrorCode::kInvalid, *why});
  }
  const Time now = clock_.Steady();
  const std::uint64_t sequence = message.sequence();
  workers_[session].answered = sequence;
  switch (message.body_case()) {
    case v1::WorkerMessage::kHello:
      return OnHello(session, message.hello(), now);
    case v1::WorkerMessage::kProgress:
      return OnProgress(session, sequence, message.progress(), arrived.value_or(now), now);
    case v1::WorkerMessage::kShardDone:
      return Perform(
          book_.OnShardDone(session, sequence, ToReport(message.shard_done().lease()), now));
    case v1::WorkerMessage::kDraining:
      return Perform(
          book_.OnDraining(session, sequence, ToReports(message.draining().leases()), now));
    case v1::WorkerMessage::kRecordFailures:
      OnFailures(session, sequence, message.record_failures());
      return Perform(book_.OnOther(session, sequence, now));
    case v1::WorkerMessage::kSourceTrouble:
      OnSourceTrouble(session, message.source_trouble());
      return Perform(book_.OnOther(session, sequence, now));
    case v1::WorkerMessage::kDryRunSamples:
      OnSamples(message.dry_run_samples());
      return Perform(book_.OnOther(session, sequence, now));
    case v1::WorkerMessage::kPlanProgress:  // WhyMalformed()
    case v1::WorkerMessage::kPlanPart:
    case v1::WorkerMessage::kPlanEnd:
    case v1::WorkerMessage::kPlanFailure:
    case v1::WorkerMessage::BODY_NOT_SET:
      return Perform(book_.OnOther(session, sequence, now));
  }
}

void StageRun::OnHello(SessionId session, const v1::Hello& hello, Time now) {
  if (partitions_ && !hello.partitions())
    return Drop(
        session,
        {ErrorCode::kInvalid,
         "this worker's version knows no partitions; install operator and workers of one version"});
  const lease::Effects effects =
      book_.OnHello(session, hello.worker(), hello.instance(), ToReports(hello.held()), now);
  const auto refused = [session](const lease::Effect& effect) {
    const auto* close = std::get_if<lease::CloseSession>(&effect);
    return close != nullptr && close->session == session;
  };
  if (std::ranges::any_of(effects, refused)) return Perform(effects);
  std::optional<Grants::Held> held;
  if (hello.has_grant()) {
    held = {.records_per_second = hello.grant().records_per_second(),
            .valid_for = std::chrono::milliseconds(hello.grant().valid_for_ms())};
  }
  workers_[session].process = ProcessName(hello.worker(), hello.instance());
  grants_.Join(session, workers_[session].process, held, now);
  if (partitions_) partitions_->Join(session, workers_[session].process);
  share_now_ = true;
  ++welcomed_;
  SendWelcome(session);  // before anything that the book wants to send
  Perform(effects);
}

void StageRun::SendWelcome(SessionId session) {
  CoordinatorMessage message;
  v1::Welcome& welcome = *message.mutable_welcome();
  welcome.set_protocol_version(kProtocolVersion);
  welcome.set_epoch(epoch_.value);
  *welcome.mutable_workload() = workload_;
  *welcome.mutable_limits() = MakeLimits();
  welcome.set_fence_ms(ToMillis(lease_options_.fence));
  welcome.set_reconnect_window_ms(ToMillis(ReconnectWindow()));
  welcome.set_max_leases(static_cast<std::uint32_t>(options_.max_leases));
  for (const lease::LeaseName& name : book_.Kept(session)) *welcome.add_kept() = ToRef(name);
  welcome.set_paused(paused());
  if (Send(session, std::move(message))) workers_[session].told = CurrentTerms();
}

void StageRun::OnProgress(SessionId session, std::uint64_t sequence, const v1::Progress& progress,
                          Time arrived, Time now) {
  Worker& worker = workers_[session];
  // The first report is where counting begins: what came before was counted by another leader, or
  // on another stream.
  const auto grown = [](const std::optional<std::uint64_t>& last, std::uint64_t total) {
    return last && total > *last ? total - *last : 0;
  };
  meter_.Add(grown(worker.attempts, progress.attempts()), grown(worker.retries, progress.retries()),
             now);
  worker.attempts = progress.attempts();
  worker.retries = progress.retries();
  worker.target_trouble = progress.target_trouble();
  if (signals_ != nullptr) {
    signals_->Report(worker.process, TotalsOf(progress), now);
    signals_->ReportFailed(ledger_.totals().counts.failed, now);
  }
  worker.held_back = ToHeldBack(progress.held_back());
  worker.wanted = progress.wanted_records_per_second();
  grants_.OnDemand(session, progress.wanted_records_per_second(), progress.grant_sequence(), now);
  if (partitions_) partitions_->OnReport(session, ToPartitions(progress), now);
  const Duration hold = std::min<Duration>(std::chrono::milliseconds(progress.hold_ms()), kMaxHold);
  if (hold > Duration::zero() && !settings_.unlimited) {
    held_until_ = std::max(held_until_, now + hold);
    ApplyRate(now);
  }
  const int wanted = static_cast<int>(
      std::min(progress.shards_wanted(), static_cast<std::uint32_t>(lease_options_.max_leases)));
  if (wanted == 0) {
    worker.asked.reset();
  } else if (!worker.asked) {
    worker.asked = arrived;
  }
  Perform(book_.OnProgress(session, sequence, ToReports(progress.leases()), wanted, now));
}

void StageRun::OnFailures(SessionId session, std::uint64_t sequence,
                          const v1::RecordFailures& failures) {
  // Only from the holder: what another attempt has to say about a record is void.
  const lease::LeaseName name = ToName(failures.lease());
  const std::vector<lease::LeaseName> held = book_.Kept(session);
  const ledger::Shard* shard = ledger_.Find(name.shard);
  if (shard == nullptr || std::ranges::find(held, name) == held.end()) return;
  for (const v1::RecordFailure& failure : failures.failures()) {
    if (shard->range.Contains(failure.position())) {
      failures_.Append(ToFailedRecord(name, failure));
    }
  }
  if (failures_.Uncounted(*shard) > kMaxUncounted) {
    return Drop(session, {ErrorCode::kInvalid, "too many failures that no report counts"});
  }
  const std::uint64_t batch = flush_.BatchOfFailures();
  std::deque<UnwrittenFailures>& unwritten = workers_[session].unwritten;
  if (flush_.IsDurable(batch) || (!unwritten.empty() && unwritten.back().batch == batch)) return;
  unwritten.push_back({.first_message = sequence, .batch = batch});
}

// At once: a worker with many failures that it must keep starts nothing more.
void StageRun::TellWhatIsDurable() {
  for (auto& [session, worker] : workers_) {
    const std::size_t waiting = worker.unwritten.size();
    while (!worker.unwritten.empty() && flush_.IsDurable(worker.unwritten.front().batch)) {
      worker.unwritten.pop_front();
    }
    if (worker.unwritten.size() == waiting) continue;
    Perform(lease::SendAck{
        .session = session, .answers = worker.answered, .held = book_.Kept(session), .done = {}});
  }
}

void StageRun::OnSamples(const v1::DryRunSamples& samples) {
  for (const v1::DryRunSample& sample : samples.samples()) {
    if (ledger_.Find({sample.shard()}) == nullptr) continue;
    samples_.Add({sample.shard()}, sample.key(), sample.request());
  }
}

void StageRun::OnSourceTrouble(SessionId session, const v1::SourceTrouble& trouble) {
  const std::optional<Error> error = ToSourceError(trouble);
  workers_[session].source_error = error;
  if (!error || error->code != ErrorCode::kConflict || source_changed_) return;
  // For all workers: what each of them has may not be what was reviewed.
  source_changed_ = error;
  Log(LogLevel::kError, "the source has changed, so nothing is sent any more",
      {{"backfill", workload_.backfill_name()}, {"error", error->message}});
  book_.SetPaused(true);
  ApplyRate(clock_.Steady());
  TellTerms();
}

void StageRun::OnGone(SessionId session) {
  if (!workers_.contains(session)) return;
  const Time now = clock_.Steady();
  book_.OnDisconnect(session);
  Forget(session, now);
}

void StageRun::OnWorkerGone(const std::string& worker, const std::string& instance,
                            const std::optional<SentBounds>& sent) {
  grants_.ProcessGone(ProcessName(worker, instance));
  if (partitions_) partitions_->ProcessGone(ProcessName(worker, instance));
  book_.OnWorkerGone(worker, instance, clock_.Steady(), sent);
}

// ---- what the store says

void StageRun::OnWritten(const WriteOutcome& outcome) {
  const bool had_error = flush_.error().has_value();
  flush_.OnOutcome(outcome, clock_.Steady());
  if (const auto& error = flush_.error(); error && !had_error) {
    Log(LogLevel::kWarning, "the ledger cannot be written",
        {{"backfill", workload_.backfill_name()}, {"error", error->message}});
  }
  if (flush_.failed()) DropAll(Unavailable("not served here"));
}

// ---- what has become due

void StageRun::Configure(const reconcile::LiveSettings& settings) {
  settings_ = settings;
  book_.SetPaused(paused() || closing_);
  grants_.SetTimes(settings_.grants, clock_.Steady());
  if (partitions_) partitions_->SetTimes(settings_.grants);
  ApplyRate(clock_.Steady());
  TellTerms();
}

void StageRun::ApplyRate(Time now) {
  share_now_ = true;
  rate_is_held_ = HeldBack(now) && !settings_.unlimited;  // without a limit nothing is sent to it
  if (paused() || closing_ || rate_is_held_) {
    grants_.Stop(now);
  } else if (settings_.unlimited) {
    grants_.Free(now);
  } else {
    grants_.Limit(settings_.records_per_second, now);
  }
  // What the grants leave nothing of needs no caps of its own.
  if (partitions_) partitions_->SetRates(settings_.partitions);
}

void StageRun::TellTerms() {
  const Terms terms = CurrentTerms();
  for (auto& [session, worker] : workers_) {
    if (!worker.told || *worker.told == terms) continue;
    bool left = true;
    if (worker.told->paused != terms.paused) {
      CoordinatorMessage message;
      message.mutable_pause()->set_paused(terms.paused);
      left = Send(session, std::move(message));
    }
    Terms told = *worker.told;
    told.paused = terms.paused;
    if (told != terms) {
      CoordinatorMessage message;
      *message.mutable_limits() = MakeLimits();
      left = Send(session, std::move(message)) && left;
    }
    if (left) worker.told = terms;
  }
}

StageRun::Terms StageRun::CurrentTerms() const {
  return {.paused = paused(),
          .concurrency = settings_.concurrency,
          .attempts = settings_.attempts,
          .retry_budget_percent = settings_.retry_budget_percent,
          .latency_headroom = settings_.latency_headroom,
          .report_period = report_period_};
}

void StageRun::Settle() {
  if (Leads() && !closing_ && !flush_.failed()) {
    const Time now = clock_.Steady();
    if (paused() || !book_.HasShards()) {
      work_since_.reset();
    } else if (!work_since_) {
      work_since_ = now;
    }
    for (const LedgerFlush::Confirmed& c : flush_.TakeConfirmed()) {
      Perform(book_.OnWritten(c.chunk, c.sequence));
    }
    TellWhatIsDurable();
    Perform(book_.Tick(now));
    AdaptReportPeriod();
    TellTerms();
    if (rate_is_held_ && !HeldBack(now)) ApplyRate(now);
    SendGrants(now);
  }
  // Writing needs no leadership: the store compares versions.
  flush_.Pump(book_, closing_ ? LedgerFlush::Mode::kEverything : LedgerFlush::Mode::kPaced,
              clock_.Steady());
}

void StageRun::SendGrants(Time now) {
  // Looks at all workers, so not after each message of one.
  if (!share_now_ && now - shared_at_ < kShareEvery) return;
  share_now_ = false;
  shared_at_ = now;
  std::vector<MessageSink::Outgoing> grants;
  for (const throttle::GrantAction& action : grants_.Tick(now)) {
    CoordinatorMessage message;
    *message.mutable_grant() = ToGrant(action);
    message.mutable_grant()->set_pressure(settings_.pressure);
    if (Address(action.session, message)) grants.push_back({action.session, std::move(message)});
  }
  sink_.SendAll(std::move(grants));
  if (partitions_) SendPartitionCaps(now);
}

void StageRun::SendPartitionCaps(Time now) {
  std::vector<MessageSink::Outgoing> caps;
  for (const PartitionAction& action : partitions_->Tick(now)) {
    CoordinatorMessage message;
    *message.mutable_partition_caps() = ToCaps(action);
    if (Address(action.session, message)) caps.push_back({action.session, std::move(message)});
  }
  sink_.SendAll(std::move(caps));
}

void StageRun::AdaptReportPeriod() {
  const auto seconds = std::chrono::duration<double>(static_cast<double>(workers_.size()) /
                                                     options_.messages_per_second);
  const Duration fitting = std::clamp(std::chrono::duration_cast<Duration>(seconds),
                                      options_.min_report_period, options_.max_report_period);
  // In steps: every change is told to every worker.
  if (4 * fitting <= 5 * report_period_ && 5 * fitting >= 4 * report_period_) return;
  report_period_ = fitting;
}

v1::Limits StageRun::MakeLimits() const {
  v1::Limits limits;
  limits.set_concurrency(static_cast<std::uint32_t>(settings_.concurrency));
  limits.set_attempts(static_cast<std::uint32_t>(settings_.attempts));
  limits.set_retry_budget_percent(static_cast<std::uint32_t>(settings_.retry_budget_percent));
  limits.set_latency_headroom(settings_.latency_headroom);
  limits.set_report_period_ms(ToMillis(report_period_));
  return limits;
}

Duration StageRun::ReconnectWindow() const {
  return std::clamp<Duration>(static_cast<std::int64_t>(workers_.size()) * 10ms,
                              options_.min_reconnect_window, options_.max_reconnect_window);
}

// ---- the end

void StageRun::BeginClose() {
  closing_ = true;
  book_.SetPaused(true);
  grants_.Stop(clock_.Steady());
  DropAll(Unavailable("the stage is closed"));
}

bool StageRun::closed() const { return closing_ && (flush_.failed() || flush_.Clean()); }

// ---- what the lease book wants done

void StageRun::Perform(const lease::Effects& effects) {
  for (const lease::Effect& effect : effects) {
    std::visit([this](const auto& e) { Perform(e); }, effect);
  }
}

void StageRun::Perform(const lease::SendLease& effect) {
  CoordinatorMessage message;
  *message.mutable_lease() = ToLease(effect.shard, ledger_.ExtentOf(effect.shard.id));
  if (!Send(effect.session, std::move(message))) return;
  // Its next report says whether it wants another.
  const auto asked = std::exchange(workers_.at(effect.session).asked, std::nullopt);
  if (!asked || !on_granted_) return;
  const Time now = clock_.Steady();
  on_granted_(now - std::max(*asked, work_since_.value_or(now)));
}

void StageRun::Perform(const lease::SendAck& effect) {
  CoordinatorMessage message;
  message.set_answers(effect.answers);
  *message.mutable_ack() = ToAck(effect);
  if (const auto it = workers_.find(effect.session); it != workers_.end()) {
    const std::deque<UnwrittenFailures>& unwritten = it->second.unwritten;
    message.mutable_ack()->set_failures_durable(
        unwritten.empty() ? it->second.answered : unwritten.front().first_message - 1);
  }
  Send(effect.session, std::move(message));
}

void StageRun::Perform(const lease::SendRevoke& effect) {
  CoordinatorMessage message;
  *message.mutable_revoke() = ToRevoke(effect);
  Send(effect.session, std::move(message));
}

void StageRun::Perform(const lease::SendShrink& effect) {
  CoordinatorMessage message;
  *message.mutable_shrink() = ToShrink(effect);
  Send(effect.session, std::move(message));
}

void StageRun::Perform(const lease::SendNoMoreWork& effect) {
  CoordinatorMessage message;
  message.mutable_no_more_work();
  Send(effect.session, std::move(message));
}

void StageRun::Perform(const lease::CloseSession& effect) {
  // The book has forgotten it already.
  if (!workers_.contains(effect.session)) return;
  sink_.Close(effect.session, {ErrorCode::kConflict, effect.reason});
  Forget(effect.session, clock_.Steady());
}

void StageRun::Perform(const lease::Supersede& effect) { flush_.Cut(effect); }

void StageRun::Perform(const lease::LeaseExpired& effect) {
  ++lease_expirations_;
  Log(LogLevel::kWarning, "a lease has expired",
      {{"backfill", workload_.backfill_name()}, {"holder", effect.holder}});
}

// ---- sessions

bool StageRun::Address(SessionId session, CoordinatorMessage& message) const {
  const auto it = workers_.find(session);
  if (it == workers_.end() || !Leads()) return false;
  if (message.answers() == 0) message.set_answers(it->second.answered);
  return true;
}

bool StageRun::Send(SessionId session, CoordinatorMessage&& message) {
  if (!Address(session, message)) return false;
  sink_.Send(session, std::move(message));
  return true;
}

void StageRun::Drop(SessionId session, const Error& reason) {
  sink_.Close(session, reason);
  OnGone(session);
}

void StageRun::DropAll(const Error& reason) {
  while (!workers_.empty()) Drop(workers_.begin()->first, reason);
}

void StageRun::Forget(SessionId session, Time now) {
  grants_.Leave(session, now);
  if (partitions_) partitions_->Leave(session);
  workers_.erase(session);
}

// ---- what others see

reconcile::StageSnapshot StageRun::Snapshot() const {
  const Time now = clock_.Steady();
  reconcile::StageSnapshot out;
  out.totals = ledger_.totals();
  out.flushed = flush_.Clean() && !flush_.failed();
  out.connected = static_cast<int>(workers_.size());
  out.sessions = welcomed_;
  out.lease_expirations = lease_expirations_;
  out.attempts_per_second = meter_.PerSecond(now);
  out.granted = grants_.InForce(now);
  // Also while the target is left alone: that ends by itself.
  if (!paused() && !closing_ && !settings_.unlimited) out.allowed = settings_.records_per_second;
  out.reported = grants_.Reported(now);
  if (partitions_) out.partitions = partitions_->Flows(now);
  const double retries = meter_.RetryPercent(now);
  out.retries_spent = retries > 0 && retries >= kBudgetReached * settings_.retry_budget_percent;
  if (rate_is_held_ && HeldBack(now)) out.target_held_for = held_until_ - now;
  const lease::LeaseBook::Frozen frozen = book_.frozen();
  out.frozen_shards = frozen.shards;
  if (frozen.until) out.frozen_for = std::max(Duration::zero(), *frozen.until - now);
  out.unwritten_for = now - flush_.durable_as_of();
  out.error = flush_.error();
  out.source_error = source_changed_;
  double wanted = 0;
  for (const auto& [session, worker] : workers_) {
    if (std::isfinite(worker.wanted)) wanted += std::max(0.0, worker.wanted);
    if (!out.source_error) out.source_error = worker.source_error;
    if (!book_.Kept(session).empty()) {
      ++out.working;
      AddTo(out.held_by_workers, worker.held_back);
    }
    if (worker.target_trouble.empty()) continue;
    ++out.without_target;
    out.target_trouble = worker.target_trouble;
  }
  out.target_holds_back = rate_is_held_ || out.retries_spent || out.held_by_workers.slow > 0 ||
                          out.held_by_workers.refused > 0;
  out.records_wait = !settings_.unlimited && wanted > settings_.records_per_second;
  return out;
}

}  // namespace backfill::coordinator
