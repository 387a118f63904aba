#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "operator/coordinator/stage_run.h"
#include "operator/ledger/codec.h"
#include "tests/fakes/manual_clock.h"
#include "tests/fuzz/feedback.h"
#include "tests/fuzz/script.h"
#include "tests/operator/coordinator/plans.h"

// Workers that say anything at any time, honest or not, to the stage that serves them, while its
// store is slow and fails. Nothing that a worker relies on leaves before it is durable, no record
// is lost from the ledger, and what is written at the end is what a successor reads.
namespace backfill::fuzz {
namespace {

using namespace std::chrono_literals;
using coordinator::LedgerWrite, coordinator::WriteOutcome;

constexpr std::int64_t kShards = 3, kSize = 100;
constexpr Epoch kEpoch{7};
constexpr int kMostSteps = 300;

// The store: what is durable, and a batch that is under way.
class Store final : public coordinator::LedgerWriter {
 public:
  explicit Store(ledger::Ledger ledger) {
    for (int chunk = 0; chunk < ledger.chunks(); ++chunk) Keep(ledger.Encode(chunk, Epoch{}));
  }
  void Write(std::vector<LedgerWrite> batch) override {
    Require(under_way_.empty() && !batch.empty(), "one batch at a time");
    under_way_ = std::move(batch);
  }
  [[nodiscard]] bool busy() const { return !under_way_.empty(); }
  // The first `most` become durable.
  WriteOutcome Finish(std::size_t most, Status status) {
    WriteOutcome outcome{.written = std::min(most, under_way_.size()), .status = std::move(status)};
    for (std::size_t i = 0; i < outcome.written; ++i) {
      if (under_way_[i].kind == LedgerWrite::Kind::kChunk) Keep(under_way_[i].image);
    }
    under_way_.clear();
    return outcome;
  }
  [[nodiscard]] Result<ledger::Ledger> Read() const {
    std::vector<std::string> chunks;
    for (const auto& [number, data] : chunks_) chunks.push_back(data);
    return ledger::Ledger::FromChunks(chunks);
  }
  [[nodiscard]] const ledger::Shard* Durable(std::int32_t shard) const {
    const auto found = shards_.find(shard);
    return found == shards_.end() ? nullptr : &found->second;
  }

 private:
  void Keep(const ledger::ChunkImage& image) {
    const auto chunk = ledger::DecodeChunk(image.data);
    Require(chunk.ok(), "what is written can be read");
    for (const ledger::Shard& shard : chunk->shards) shards_[shard.id.value] = shard;
    chunks_[image.chunk] = image.data;
  }

  std::vector<LedgerWrite> under_way_;
  std::map<int, std::string> chunks_;
  std::map<std::int32_t, ledger::Shard> shards_;
};

// Looks at all that leaves.
class Wire final : public coordinator::MessageSink {
 public:
  explicit Wire(const Store& store) : store_(store) {}

  void Send(SessionId session, v1::CoordinatorMessage&& message) override {
    Require(!closed.contains(session), "nothing is sent behind the end");
    Require(message.has_welcome() == welcomed_.insert(session).second, "Welcome is the first");
    Saw("sent " + std::string(1, static_cast<char>('a' + message.body_case())));
    if (message.has_lease()) {
      const v1::Lease& lease = message.lease();
      const ledger::Shard* const durable = store_.Durable(lease.lease().shard());
      Require(durable != nullptr && durable->attempt.value == lease.lease().attempt() &&
                  durable->state == ledger::ShardState::kInFlight,
              "a lease is in the store before it is given");
      leases.push_back(lease);
    }
    for (const v1::LeaseRef& done : message.ack().done()) {
      const ledger::Shard* const durable = store_.Durable(done.shard());
      Require(durable != nullptr && durable->state == ledger::ShardState::kDone,
              "a shard is done in the store before its worker hears it");
    }
  }
  void Close(SessionId session, const Error& reason) override {
    Require(closed.insert(session).second, "a stream ends once");
    Saw("closed: " + reason.message);
  }

  std::set<SessionId> closed;
  std::vector<v1::Lease> leases;  // that were given

 private:
  const Store& store_;
  std::set<SessionId> welcomed_;
};

v1::Workload Work() {
  v1::Workload workload;
  workload.set_backfill_name("n");
  return workload;
}

class World {
 public:
  explicit World(std::string_view script)
      : script_(script),
        store_(ledger::Ledger::FromPlan(coordinator::PlanOf(kShards, kSize))),
        wire_(store_),
        run_({.workload = Work(),
              .ledger = ledger::Ledger::FromPlan(coordinator::PlanOf(kShards, kSize)),
              .failures = {},
              .epoch = kEpoch,
              .target_timeout = 5s,
              .batch_size = 1},
             Options(), clock_, leadership_, wire_, store_) {
    Configure(false);
  }

  void Play() {
    for (int step = 0; step < kMostSteps && !script_.ended(); ++step) {
      Step();
      Check();
    }
    End();
  }

 private:
  static coordinator::StageOptions Options() {
    coordinator::StageOptions options;
    options.jitter_seed = 1;
    options.min_split = 8;
    return options;
  }

  void Step() {
    switch (script_.Below(14)) {
      case 0:
        return Hello();
      case 1:
      case 2:
        return Progress();
      case 3:
        return Done();
      case 4:
        return Draining();
      case 5:
        return Failures();
      case 6:
        return Trouble();
      case 7:
        return run_.OnGone(Session());
      case 8:
        return Pass(std::chrono::milliseconds(10 * script_.Byte()));
      case 9:
        return Pass(std::chrono::seconds(script_.Byte()));
      case 10:
        return FinishWrite(Ok{}, ~std::size_t{0});
      case 11:
        return FinishWrite(
            Error{script_.Below(8) == 0 ? ErrorCode::kConflict : ErrorCode::kUnavailable, "no"},
            script_.Byte());
      case 12:
        if (script_.Flip()) return Configure(script_.Flip());
        return run_.OnWorkerGone(Worker(), Instance());
      case 13:
        return Raw();
      default:
        return;
    }
  }

  // ---- what workers say

  std::string Worker() { return script_.Flip() ? "a" : "b"; }
  std::string Instance() { return script_.Flip() ? "i" : "j"; }
  // One of those that were opened, most likely.
  SessionId Session() { return {1U + script_.Below(static_cast<std::uint8_t>(last_ + 2U))}; }

  void Say(SessionId session, v1::WorkerMessage message) {
    message.set_sequence(++sequences_[session]);
    run_.OnMessage(session, message);
    run_.Settle();
  }

  // How a lease stands: as it may be, or anything.
  v1::LeaseProgress Report() {
    v1::LeaseProgress report;
    if (wire_.leases.empty() || script_.Below(4) == 0) {
      report.mutable_lease()->set_shard(script_.Flip() ? script_.Below(6) : 500 + script_.Below(4));
      report.mutable_lease()->set_attempt(script_.Below(4));
      report.mutable_lease()->set_epoch(kEpoch.value - script_.Below(2));
      report.set_end(script_.Flip() ? kSize : static_cast<std::int64_t>(script_.Any()));
      report.set_cursor(script_.Flip() ? script_.Byte() : static_cast<std::int64_t>(script_.Any()));
      report.set_done_above(std::string(script_.Text()));
      report.mutable_counts()->set_updated(script_.Flip() ? script_.Byte() : script_.Any());
      report.mutable_counts()->set_failed(script_.Flip() ? 0 : script_.Any());
      report.set_in_flight(script_.Byte());
      return report;
    }
    const v1::Lease& lease = wire_.leases[script_.Byte() % wire_.leases.size()];
    const auto size = static_cast<std::uint64_t>(lease.end() - lease.begin());
    const std::uint64_t done = std::min<std::uint64_t>(script_.Byte(), size);
    *report.mutable_lease() = lease.lease();
    report.set_end(lease.end() - script_.Below(3) / 2);
    report.set_cursor(lease.begin() + static_cast<std::int64_t>(done));
    const std::uint64_t above = script_.Below(3) == 0 && done + 2 < size ? 1 : 0;
    if (above > 0) report.set_done_above("\x02");
    const std::uint64_t failed = std::min<std::uint64_t>(script_.Below(3), done);
    report.mutable_counts()->set_updated(done - failed + above);
    report.mutable_counts()->set_failed(failed);
    return report;
  }
  template <typename Repeated>
  void Reports(Repeated& into) {
    for (int n = script_.Below(4); n > 0; --n) *into.Add() = Report();
  }

  void Hello() {
    const SessionId session{++last_};
    v1::WorkerMessage message;
    v1::Hello& hello = *message.mutable_hello();
    hello.set_worker(Worker());
    hello.set_instance(Instance());
    Reports(*hello.mutable_held());
    if (script_.Flip()) {
      hello.mutable_grant()->set_records_per_second(Rate());
      hello.mutable_grant()->set_valid_for_ms(static_cast<std::uint32_t>(script_.Any()));
    }
    Say(session, std::move(message));
  }
  double Rate() {
    static constexpr std::array kRates = {0.0,
                                          1.0,
                                          1e3,
                                          1e300,
                                          -1.0,
                                          1e-300,
                                          1e99,
                                          std::numeric_limits<double>::infinity(),
                                          std::numeric_limits<double>::quiet_NaN()};
    return kRates.at(script_.Byte() % kRates.size());
  }
  void Progress() {
    const SessionId session = Session();
    v1::WorkerMessage message;
    v1::Progress& progress = *message.mutable_progress();
    progress.set_shards_wanted(script_.Byte());
    progress.set_wanted_records_per_second(Rate());
    progress.set_grant_sequence(script_.Flip() ? (kEpoch.value << 32U) + script_.Byte()
                                               : script_.Any());
    progress.set_attempts(script_.Flip() ? script_.Byte() : script_.Any());
    progress.set_retries(script_.Byte());
    progress.set_hold_ms(script_.Below(4) == 0 ? static_cast<std::uint32_t>(script_.Any()) : 0);
    Reports(*progress.mutable_leases());
    Say(session, std::move(message));
  }
  void Done() {
    const SessionId session = Session();
    v1::WorkerMessage message;
    *message.mutable_shard_done()->mutable_lease() = Report();
    Say(session, std::move(message));
  }
  void Draining() {
    const SessionId session = Session();
    v1::WorkerMessage message;
    Reports(*message.mutable_draining()->mutable_leases());
    Say(session, std::move(message));
  }
  void Failures() {
    const SessionId session = Session();
    v1::WorkerMessage message;
    *message.mutable_record_failures()->mutable_lease() = Report().lease();
    for (int n = script_.Byte(); n > 0; --n) {
      v1::RecordFailure& failure = *message.mutable_record_failures()->add_failures();
      failure.set_position(script_.Byte());
      failure.set_key(std::string(script_.Text()));
      failure.set_class_(static_cast<v1::FailureClass>(script_.Byte()));
    }
    Say(session, std::move(message));
  }
  void Trouble() {
    const SessionId session = Session();
    v1::WorkerMessage message;
    if (script_.Flip()) {
      message.mutable_source_trouble()->set_kind(
          static_cast<v1::SourceTrouble::Kind>(script_.Below(8) == 0 ? 2 : script_.Below(2)));
    } else {
      v1::DryRunSample& sample = *message.mutable_dry_run_samples()->add_samples();
      sample.set_shard(script_.Byte());
      sample.set_request(std::string(script_.Text()));
    }
    Say(session, std::move(message));
  }
  // Whatever bytes make a message. The checks of every stream stand before the stage.
  void Raw() {
    const SessionId session = Session();
    v1::WorkerMessage message;
    if (!message.ParseFromString(std::string(script_.Text()))) return;
    if (message.has_hello() == sequences_.contains(session)) return;
    Say(session, std::move(message));
  }

  // ---- what else happens

  void Pass(Duration time) {
    clock_.Advance(time);
    run_.Settle();
  }
  void FinishWrite(Status status, std::size_t most) {
    if (!store_.busy()) return;
    run_.OnWritten(store_.Finish(most, std::move(status)));
    run_.Settle();
  }
  void Configure(bool paused) {
    reconcile::LiveSettings settings;
    settings.records_per_second = 1000;
    settings.paused = paused;
    run_.Configure(settings);
    run_.Settle();
  }

  // ---- what must hold

  void Check() const {
    const ledger::Totals& totals = run_.Snapshot().totals;
    Require(totals.planned == kShards * kSize, "no record is lost or invented");
    Require(totals.counts.total() <= totals.planned, "no more outcomes than records");
    Require(totals.shards_pending + totals.shards_in_flight + totals.shards_done == totals.shards,
            "a shard is in one state");
    Saw("in flight " + std::string(static_cast<std::size_t>(totals.shards_in_flight), 'i') +
        " done " + std::string(static_cast<std::size_t>(totals.shards_done), 'd'));
  }
  void End() {
    run_.BeginClose();
    for (int i = 0; i < 100 && !run_.closed(); ++i) {
      clock_.Advance(10s);
      FinishWrite(Ok{}, ~std::size_t{0});
      run_.Settle();
    }
    Require(run_.closed(), "a stage can be closed");
    const reconcile::StageSnapshot last = run_.Snapshot();
    if (last.error) return;
    const auto read = store_.Read();
    Require(read.ok() && read->totals() == last.totals, "a successor reads what is written");
  }

  Script script_;
  fakes::ManualClock clock_;
  coordinator::SoleLeader leadership_;
  Store store_;
  Wire wire_;
  coordinator::StageRun run_;
  std::map<SessionId, std::uint64_t> sequences_;
  std::uint64_t last_ = 0;
};

}  // namespace
}  // namespace backfill::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  backfill::fuzz::World(backfill::fuzz::View(data, size)).Play();
  return 0;
}
