#include "bench/scale/simulated_worker.h"

#include <algorithm>
#include <cmath>

#include "worker/link/channel.h"

namespace backfill::scale {
namespace {

using v1::CoordinatorMessage;

// As a worker's link has them.
constexpr Duration kFirstBackoff = 100ms;
constexpr Duration kMaxBackoff = 2s;
constexpr Duration kSteady = 1s;
constexpr Duration kSilence = 15s;
constexpr int kStreamsAConnection = 3;
constexpr int kBurst = 1000;  // requests begun in a row
constexpr std::size_t kMaxNoted = 1000;

}  // namespace

SimulatedWorker::SimulatedWorker(int index, const FleetOptions& options,
                                 grpc::CompletionQueue& queue, Referee& referee,
                                 FleetFigures& figures, const bool& measuring)
    : index_(index),
      options_(options),
      queue_(queue),
      referee_(referee),
      figures_(figures),
      measuring_(measuring),
      random_(options.seed * 1'000'003 + static_cast<std::uint64_t>(index)),
      session_({.uid = options.uid,
                .stage = "run",
                .worker = "run-" + std::to_string(index),
                .instance = "pod-" + std::to_string(index),
                .seed = random_()},
               *this) {}

// ---- its stream

void SimulatedWorker::Connect(Time now) {
  if (!stub_)
    stub_ = v1::Coordinator::NewStub(
        worker::OpenChannel({.address = options_.address}, options_.authorities));
  opened_ = heard_ = now;
  WorkerStream::Events& self = *this;  // which only this class may see as such
  stream_ = std::make_unique<WorkerStream>(*stub_, queue_, options_.token, self);
}

void SimulatedWorker::Stop() {
  stopped_ = true;
  if (stream_) stream_->Cancel();
}

void SimulatedWorker::OnOpen() {
  session_.OnConnected(++number_, std::chrono::steady_clock::now());
}

void SimulatedWorker::OnEnd(const grpc::Status& status) {
  const Time now = std::chrono::steady_clock::now();
  const bool spoke = welcomed_;
  figures_.lost += 1;
  figures_.endings[status.error_message()] += 1;
  session_.OnDisconnected(number_, {ErrorCode::kUnavailable, status.error_message()}, now);
  welcomed_ = false;
  asked_.reset();
  failures_ = spoke ? 0 : failures_ + 1;
  if (failures_ > 0 && failures_ % kStreamsAConnection == 0) stub_.reset();
  if (spoke && now - opened_ >= kSteady) {
    reconnect_at_ = now;
  } else {
    Duration bound = kFirstBackoff;
    for (int i = 1; i < failures_ && bound < kMaxBackoff; ++i) bound *= 2;
    bound = std::max(std::min(bound, kMaxBackoff), window_);
    reconnect_at_ =
        now + Duration(std::uniform_int_distribution<Duration::rep>(0, bound.count())(random_));
  }
  stream_.reset();  // the last call that it makes
}

bool SimulatedWorker::Send(std::uint64_t stream, v1::WorkerMessage message) {
  if (!stream_ || stream != number_) return false;
  if (message.has_progress() && message.progress().shards_wanted() > 0 && !asked_) {
    asked_ = std::chrono::steady_clock::now();
    ask_counts_ = measuring_;
  }
  figures_.sent += 1;
  return stream_->Write(std::move(message));
}

void SimulatedWorker::OnMessage(const CoordinatorMessage& message) {
  const Time now = std::chrono::steady_clock::now();
  heard_ = now;
  figures_.received += 1;
  Note(message, now);
  session_.OnMessage(number_, message, now);
  Pump(now);
}

void SimulatedWorker::Note(const CoordinatorMessage& message, Time now) {
  if (message.has_welcome()) {
    if (!welcomed_) figures_.streams += 1;
    welcomed_ = true;
  } else if (message.has_lease()) {
    const v1::LeaseRef& lease = message.lease().lease();
    const worker::LeaseKey key{ShardId{lease.shard()}, Attempt{lease.attempt()}};
    if (leases_[key.shard] != key.attempt) referee_.OnLease(index_, key);
    leases_[key.shard] = key.attempt;
    if (!figures_.first_lease) figures_.first_lease = now;
    if (asked_ && ask_counts_ && measuring_) figures_.ask_ms.Add(Millis(now - *asked_));
    asked_.reset();
  } else if (message.has_grant()) {
    const double rate = message.grant().records_per_second();
    const bool differs = std::abs(rate - rate_) > 0.1 * std::max(rate, rate_);
    if (grants_.size() < kMaxNoted) grants_.emplace_back(now, differs);
    rate_ = rate;
  } else if (message.has_ack()) {
    for (const v1::LeaseRef& done : message.ack().done()) {
      referee_.OnDurable(index_, {ShardId{done.shard()}, Attempt{done.attempt()}});
      leases_.erase(ShardId{done.shard()});
    }
  }
}

std::optional<Time> SimulatedWorker::ToldAnotherRate() const {
  for (const auto& [at, differs] : grants_) {
    if (differs) return at;
  }
  return std::nullopt;
}

double SimulatedWorker::Granted(Time now) {
  const worker::TokenBucket& bucket = session_.engine().bucket();
  return bucket.InForce(now) ? bucket.grant().records_per_second : 0;
}

// ---- its work

void SimulatedWorker::Tick(Time now) {
  if (stopped_) return;
  Answer(now);
  session_.Tick(now);
  Pump(now);
  if (ended()) return Stop();  // as a process that exits
  if (!stream_ && now >= reconnect_at_) return Connect(now);
  if (stream_ && now - heard_ >= kSilence) stream_->Cancel();
}

worker::BatchResult SimulatedWorker::ResultOf(const std::vector<worker::Record>& records) const {
  worker::BatchResult result;
  result.latency = options_.target_latency;
  if (options_.one_fails_of == 0) return result;
  for (std::uint32_t i = 0; i < records.size(); ++i) {
    if (records[i].position % options_.one_fails_of != 0) continue;
    result.per_record = true;
    result.records.emplace_back(i, worker::Verdict{.outcome = worker::Outcome::kFailed,
                                                   .failure = worker::FailureClass::kPermanent,
                                                   .message = "422 of the simulated target"});
  }
  return result;
}

void SimulatedWorker::Answer(Time now) {
  while (!wire_.empty() && wire_.front().due <= now) {
    OnTheWire answer = std::move(wire_.front());
    wire_.pop_front();
    referee_.OnAnswered(index_, answer.lease);
    session_.engine().OnResult(answer.slot, std::move(answer.result), now);
  }
}

void SimulatedWorker::Pump(Time now) {
  worker::Engine& engine = session_.engine();
  for (int i = 0; i < kBurst && !ended(); ++i) {
    while (const auto wants = engine.WantsRecords()) {
      std::vector<worker::Record> records(wants->max);
      for (std::size_t r = 0; r < records.size(); ++r) {
        records[r].position = wants->from + static_cast<Position>(r);
        records[r].key = std::to_string(records[r].position);
      }
      if (!engine.OnRecords(wants->run, std::move(records))) break;
    }
    if (engine.busy()) break;
    const auto dispatch = engine.Next(now);
    if (!dispatch) break;
    const worker::LeaseKey lease{dispatch->shard, leases_[dispatch->shard]};
    referee_.OnSent(index_, lease, *dispatch->records);
    wire_.push_back({.due = now + options_.target_latency,
                     .slot = dispatch->slot,
                     .lease = lease,
                     .result = ResultOf(*dispatch->records)});
  }
  if (engine.news() == news_) return;
  news_ = engine.news();
  session_.Tick(now);
}

}  // namespace backfill::scale
