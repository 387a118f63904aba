#include "tests/worker/fake_coordinator.h"

// clang-format off
#include "base/mutex.h"  // before grpcpp: Abseil, which it includes, defines GUARDED_BY, too
#include <grpcpp/grpcpp.h>
// clang-format on
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <set>

#include "backfill/v1/coordinator.grpc.pb.h"

namespace backfill::fakes {
namespace {

std::uint64_t Bits(const std::string& bitmap) {
  std::uint64_t n = 0;
  for (const char c : bitmap)
    n += static_cast<std::uint64_t>(std::popcount(static_cast<unsigned char>(c)));
  return n;
}

std::uint64_t Total(const v1::OutcomeCounts& c) {
  return c.updated() + c.unchanged() + c.skipped() + c.failed();
}

}  // namespace

class FakeCoordinator::Service final : public v1::Coordinator::Service {
 public:
  explicit Service(const FakeCoordinatorOptions& options) : options_(options) {
    for (const Range& r : options.shards)
      shards_.push_back(
          {.range = r, .holder = {}, .cursor = r.begin, .done_above = {}, .counts = {}});
    char dir[] = "/tmp/backfill-test-XXXXXX";
    if (mkdtemp(dir) == nullptr) std::abort();
    directory_ = dir;
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address(), grpc::InsecureServerCredentials());
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    if (!server_) std::abort();
  }

  ~Service() override {
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
    ::unlink((directory_ + "/socket").c_str());
    ::rmdir(directory_.c_str());
  }

  [[nodiscard]] std::string address() const { return "unix:" + directory_ + "/socket"; }

  grpc::Status Work(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::CoordinatorMessage, v1::WorkerMessage>* io) override {
    {
      MutexLock l(mu_);
      const auto auth = context->client_metadata().find("authorization");
      if (refuse_ || auth == context->client_metadata().end() ||
          std::string(auth->second.data(), auth->second.size()) != "Bearer " + options_.token) {
        return {grpc::StatusCode::UNAUTHENTICATED, "who are you?"};
      }
      streams_[context].io = io;
    }
    v1::WorkerMessage message;
    while (io->Read(&message)) {
      MutexLock l(mu_);
      // What was still read of a stream that was dropped is older than what its successor says.
      if (const auto s = streams_.find(context); s != streams_.end()) Handle(s->second, message);
    }
    MutexLock l(mu_);
    streams_.erase(context);
    return grpc::Status::OK;
  }

  // Everything below is called with the lock held; writes go out under it, which is slow and
  // simple.
  struct Stream {
    grpc::ServerReaderWriter<v1::CoordinatorMessage, v1::WorkerMessage>* io = nullptr;
    std::string instance;
    std::uint64_t accepted = 0;
    std::uint64_t grants = 0;  // numbered per stream, as where the rate is not shared
    std::chrono::steady_clock::time_point granted{};
  };

  void Send(Stream& s, v1::CoordinatorMessage message) REQUIRES(mu_) {
    if (hold_answers_) return;
    message.set_answers(s.accepted);
    s.io->Write(message);
  }

  v1::LeaseRef Ref(std::size_t shard) const REQUIRES(mu_) {
    v1::LeaseRef ref;
    ref.set_shard(static_cast<std::int32_t>(shard));
    ref.set_attempt(shards_[shard].attempt);
    ref.set_epoch(epoch_);
    return ref;
  }

  void Handle(Stream& s, const v1::WorkerMessage& m) REQUIRES(mu_) {
    if (m.sequence() != s.accepted + 1)
      violations_.push_back("sequence jumps to " + std::to_string(m.sequence()));
    s.accepted = m.sequence();
    switch (m.body_case()) {
      case v1::WorkerMessage::kHello:
        return OnHello(s, m.hello());
      case v1::WorkerMessage::kProgress:
        return OnProgress(s, m.progress());
      case v1::WorkerMessage::kShardDone: {
        Take(s, m.shard_done().lease());
        const auto shard = static_cast<std::size_t>(m.shard_done().lease().lease().shard());
        if (shards_[shard].cursor != shards_[shard].range.end)
          violations_.push_back("done before its end");
        shards_[shard].done = true;
        return Ack(s, {shard});
      }
      case v1::WorkerMessage::kRecordFailures:
        for (const auto& f : m.record_failures().failures()) failures_[f.position()] = f;
        return Ack(s, {});
      case v1::WorkerMessage::kDraining:
        ++drained_;
        for (const auto& p : m.draining().leases()) {
          Take(s, p);
          if (p.in_flight() > 0)
            violations_.push_back("gives a lease back with requests in flight");
          shards_[static_cast<std::size_t>(p.lease().shard())].holder.clear();
        }
        return Ack(s, {});
      case v1::WorkerMessage::kDryRunSamples:
        for (const auto& sample : m.dry_run_samples().samples()) samples_.push_back(sample);
        return Ack(s, {});
      case v1::WorkerMessage::kSourceTrouble:
        violations_.push_back("trouble with a source that has none");
        return Ack(s, {});
      case v1::WorkerMessage::kPlanProgress:
      case v1::WorkerMessage::kPlanPart:
      case v1::WorkerMessage::kPlanEnd:
      case v1::WorkerMessage::kPlanFailure:
        violations_.push_back("plans where nothing is to be planned");
        return Ack(s, {});
      case v1::WorkerMessage::BODY_NOT_SET:
        violations_.push_back("a message without a body");
    }
  }

  void OnHello(Stream& s, const v1::Hello& hello) REQUIRES(mu_) {
    hellos_.push_back(hello);
    s.instance = hello.instance();
    v1::CoordinatorMessage message;
    v1::Welcome& w = *message.mutable_welcome();
    w.set_protocol_version(1);
    w.set_epoch(epoch_);
    *w.mutable_workload() = options_.workload;
    SetLimits(*w.mutable_limits());
    w.set_fence_ms(options_.fence_ms);
    w.set_reconnect_window_ms(100);
    w.set_max_leases(options_.max_leases);
    w.set_paused(paused_);
    std::set<std::size_t> named;
    for (const auto& p : hello.held()) {
      const auto i = static_cast<std::size_t>(p.lease().shard());
      if (i >= shards_.size() || shards_[i].attempt != p.lease().attempt() || shards_[i].done)
        continue;
      if (shards_[i].holder != s.instance) continue;
      Take(s, p);
      *w.add_kept() = Ref(i);
      named.insert(i);
    }
    // A lease that was lost with the stream on its way: the process does not know of it.
    for (std::size_t i = 0; i < shards_.size(); ++i) {
      if (shards_[i].holder == s.instance && !named.contains(i)) shards_[i].holder.clear();
    }
    Send(s, message);
    SendGrant(s);
  }

  void SetLimits(v1::Limits& limits) REQUIRES(mu_) {
    limits.set_concurrency(options_.concurrency);
    limits.set_attempts(options_.attempts);
    limits.set_retry_budget_percent(options_.retry_budget_percent);
    limits.set_report_period_ms(options_.report_period_ms);
  }

  void SendGrant(Stream& s) REQUIRES(mu_) {
    v1::CoordinatorMessage message;
    v1::Grant& g = *message.mutable_grant();
    g.set_sequence(++s.grants);
    g.set_records_per_second(paused_ ? 0 : options_.records_per_second);
    g.set_burst(options_.burst);
    g.set_valid_for_ms(options_.grant_valid_ms);
    s.granted = std::chrono::steady_clock::now();
    Send(s, message);
  }

  void OnProgress(Stream& s, const v1::Progress& progress) REQUIRES(mu_) {
    ++reports_;
    attempts_ = progress.attempts();
    held_back_ = progress.held_back();
    for (const auto& p : progress.leases()) Take(s, p);
    Ack(s, {});
    if (std::chrono::steady_clock::now() - s.granted >
        std::chrono::milliseconds(options_.grant_valid_ms / 4))
      SendGrant(s);
    std::uint32_t wanted = paused_ ? 0 : progress.shards_wanted();
    for (std::size_t i = 0; i < shards_.size() && wanted > 0; ++i) {
      Shard& shard = shards_[i];
      if (shard.done || !shard.holder.empty()) continue;
      --wanted;
      ++shard.attempt;
      shard.holder = s.instance;
      v1::CoordinatorMessage message;
      v1::Lease& lease = *message.mutable_lease();
      *lease.mutable_lease() = Ref(i);
      lease.set_begin(shard.range.begin);
      lease.set_end(shard.range.end);
      lease.set_cursor(shard.cursor);
      lease.set_done_above(shard.done_above);
      *lease.mutable_counts() = shard.counts;
      Send(s, message);
    }
  }

  void Take(const Stream& s, const v1::LeaseProgress& p) REQUIRES(mu_) {
    const auto i = static_cast<std::size_t>(p.lease().shard());
    if (i >= shards_.size()) return violations_.push_back("a shard that does not exist");
    Shard& shard = shards_[i];
    if (p.lease().attempt() != shard.attempt || shard.done || shard.holder != s.instance)
      return;  // history
    if (p.cursor() < shard.cursor || p.end() > shard.range.end)
      violations_.push_back("progress goes back");
    const auto before = static_cast<std::uint64_t>(p.cursor() - shard.range.begin);
    if (Total(p.counts()) != before + Bits(p.done_above()))
      violations_.push_back("counts contradict the cursor");
    std::uint64_t failed = 0;
    for (const auto& [position, f] : failures_) {
      if (!Range{shard.range.begin, p.end()}.Contains(position)) continue;
      const auto above = static_cast<std::uint64_t>(position - p.cursor());
      const bool passed =
          position < p.cursor() || (above / 8 < p.done_above().size() &&
                                    (p.done_above()[above / 8] >> (above % 8) & 1) != 0);
      if (passed) ++failed;
    }
    if (failed != p.counts().failed())
      violations_.push_back("counts failures that were not sent before");
    shard.range.end = p.end();
    shard.cursor = p.cursor();
    shard.done_above = p.done_above();
    shard.counts = p.counts();
    shard.in_flight = p.in_flight();
  }

  void Ack(Stream& s, const std::vector<std::size_t>& done) REQUIRES(mu_) {
    v1::CoordinatorMessage message;
    v1::Ack& ack = *message.mutable_ack();
    ack.set_failures_durable(s.accepted);
    for (std::size_t i = 0; i < shards_.size(); ++i) {
      if (!shards_[i].done && !s.instance.empty() && shards_[i].holder == s.instance)
        *ack.add_held() = Ref(i);
    }
    for (const std::size_t i : done) *ack.add_done() = Ref(i);
    Send(s, message);
    if (AllDone() && tell_no_more_work_) {
      v1::CoordinatorMessage end;
      end.mutable_no_more_work();
      for (auto& [context, stream] : streams_) {
        if (!stream.instance.empty()) Send(stream, end);
      }
    }
  }

  [[nodiscard]] bool AllDone() const REQUIRES(mu_) {
    return std::all_of(shards_.begin(), shards_.end(), [](const Shard& s) { return s.done; });
  }

  void DropAll() REQUIRES(mu_) {
    for (auto& [context, stream] : streams_) context->TryCancel();
    streams_.clear();
  }

  template <typename F>
  void Broadcast(F fill) REQUIRES(mu_) {
    for (auto& [context, stream] : streams_) {
      if (stream.instance.empty()) continue;
      v1::CoordinatorMessage message;
      fill(message);
      Send(stream, message);
    }
  }

  mutable Mutex mu_;
  FakeCoordinatorOptions options_ GUARDED_BY(mu_);
  std::map<grpc::ServerContext*, Stream> streams_ GUARDED_BY(mu_);
  std::vector<Shard> shards_ GUARDED_BY(mu_);
  std::map<Position, v1::RecordFailure> failures_ GUARDED_BY(mu_);
  std::vector<v1::DryRunSample> samples_ GUARDED_BY(mu_);
  std::vector<v1::Hello> hellos_ GUARDED_BY(mu_);
  std::vector<std::string> violations_ GUARDED_BY(mu_);
  std::uint64_t epoch_ GUARDED_BY(mu_) = 1;
  std::uint64_t attempts_ GUARDED_BY(mu_) = 0;
  v1::HeldBack held_back_ GUARDED_BY(mu_);
  int drained_ GUARDED_BY(mu_) = 0;
  int reports_ GUARDED_BY(mu_) = 0;
  bool hold_answers_ GUARDED_BY(mu_) = false;
  bool refuse_ GUARDED_BY(mu_) = false;
  bool paused_ GUARDED_BY(mu_) = false;
  bool tell_no_more_work_ GUARDED_BY(mu_) = true;

  std::string directory_;
  std::unique_ptr<grpc::Server> server_;
};

FakeCoordinator::FakeCoordinator(const FakeCoordinatorOptions& options)
    : service_(std::make_unique<Service>(options)) {}
FakeCoordinator::~FakeCoordinator() = default;

std::string FakeCoordinator::address() const { return service_->address(); }

void FakeCoordinator::DropStreams() {
  MutexLock l(service_->mu_);
  service_->DropAll();
}
void FakeCoordinator::HoldAnswers(bool hold) {
  MutexLock l(service_->mu_);
  service_->hold_answers_ = hold;
}
void FakeCoordinator::NewEpoch() {
  MutexLock l(service_->mu_);
  ++service_->epoch_;
  service_->DropAll();
}
void FakeCoordinator::RefuseToken(bool refuse) {
  MutexLock l(service_->mu_);
  service_->refuse_ = refuse;
}
void FakeCoordinator::SetPaused(bool paused) {
  MutexLock l(service_->mu_);
  service_->paused_ = paused;
  service_->Broadcast([&](v1::CoordinatorMessage& m) { m.mutable_pause()->set_paused(paused); });
  for (auto& [context, stream] : service_->streams_) {
    if (!stream.instance.empty()) service_->SendGrant(stream);
  }
}
void FakeCoordinator::SetRate(double records_per_second, double burst) {
  MutexLock l(service_->mu_);
  service_->options_.records_per_second = records_per_second;
  service_->options_.burst = burst;
  for (auto& [context, stream] : service_->streams_) {
    if (!stream.instance.empty()) service_->SendGrant(stream);
  }
}
void FakeCoordinator::Revoke(std::int32_t shard) {
  MutexLock l(service_->mu_);
  const auto ref = service_->Ref(static_cast<std::size_t>(shard));
  service_->shards_[static_cast<std::size_t>(shard)].holder.clear();
  service_->Broadcast([&](v1::CoordinatorMessage& m) {
    *m.mutable_revoke()->mutable_lease() = ref;
    m.mutable_revoke()->set_reason("the lever was pulled");
  });
}
void FakeCoordinator::Shrink(std::int32_t shard, Position end) {
  MutexLock l(service_->mu_);
  const auto ref = service_->Ref(static_cast<std::size_t>(shard));
  service_->Broadcast([&](v1::CoordinatorMessage& m) {
    *m.mutable_shrink()->mutable_lease() = ref;
    m.mutable_shrink()->set_end(end);
  });
}
void FakeCoordinator::TellNoMoreWork(bool tell) {
  MutexLock l(service_->mu_);
  service_->tell_no_more_work_ = tell;
}

std::vector<FakeCoordinator::Shard> FakeCoordinator::shards() const {
  MutexLock l(service_->mu_);
  return service_->shards_;
}
std::uint64_t FakeCoordinator::records_done() const {
  std::uint64_t n = 0;
  for (const Shard& s : shards()) n += Total(s.counts);
  return n;
}
std::map<Position, v1::RecordFailure> FakeCoordinator::failures() const {
  MutexLock l(service_->mu_);
  return service_->failures_;
}
std::vector<v1::DryRunSample> FakeCoordinator::samples() const {
  MutexLock l(service_->mu_);
  return service_->samples_;
}
std::vector<v1::Hello> FakeCoordinator::hellos() const {
  MutexLock l(service_->mu_);
  return service_->hellos_;
}
v1::HeldBack FakeCoordinator::held_back() const {
  MutexLock l(service_->mu_);
  return service_->held_back_;
}
std::uint64_t FakeCoordinator::attempts() const {
  MutexLock l(service_->mu_);
  return service_->attempts_;
}
int FakeCoordinator::drained() const {
  MutexLock l(service_->mu_);
  return service_->drained_;
}
int FakeCoordinator::reports() const {
  MutexLock l(service_->mu_);
  return service_->reports_;
}
bool FakeCoordinator::all_done() const {
  MutexLock l(service_->mu_);
  return service_->AllDone();
}
std::vector<std::string> FakeCoordinator::violations() const {
  MutexLock l(service_->mu_);
  return service_->violations_;
}

}  // namespace backfill::fakes
