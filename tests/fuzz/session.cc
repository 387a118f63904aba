#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "operator/coordinator/stage_messages.h"
#include "tests/fuzz/feedback.h"
#include "tests/fuzz/script.h"
#include "worker/link/session.h"

// A coordinator that says anything at any time to a worker, while records come, are sent and are
// answered. The worker says nothing that a coordinator refuses, sends only what was leased to it,
// and keeps within its bounds.
namespace backfill::fuzz {
namespace {

using namespace std::chrono_literals;
using worker::Engine, worker::Session;

constexpr int kMostSteps = 300;
constexpr std::uint32_t kMostRequests = 1024;  // whatever limits say

class Host final : public Session::Host {
 public:
  bool Send(std::uint64_t stream, v1::WorkerMessage message) override {
    if (broken) return false;
    Require(stream == current, "it speaks on its stream");
    Require(message.has_hello() == (last_sequence == 0), "Hello is the first");
    Require(message.sequence() == last_sequence + 1, "messages are counted one by one");
    last_sequence = message.sequence();
    const auto why = coordinator::WhyMalformed(message);
    Require(!why, why ? *why : "");
    Saw("sent " + std::string(1, static_cast<char>('a' + message.body_case())));
    return true;
  }
  void SetReconnectWindow(Duration /*window*/) override {}
  void ReconnectSoon() override {}
  Status OnWorkload(const v1::Workload& /*workload*/) override { return Ok{}; }
  std::vector<worker::TargetSample> TakeSamples() override { return {}; }
  void OnExtent(const v1::FileExtent& /*extent*/) override {}

  bool broken = false;
  std::uint64_t current = 0;
  std::uint64_t last_sequence = 0;
};

class World {
 public:
  explicit World(std::string_view script) : script_(script) {}

  void Play() {
    for (int step = 0; step < kMostSteps && !script_.ended(); ++step) Step();
    now_ += 1h;
    session_.Tick(now_);
  }

 private:
  void Step() {
    switch (script_.Below(16)) {
      case 0:
        return Connect();
      case 1:
        host_.broken = script_.Below(4) == 0;
        return session_.OnDisconnected(
            host_.current,
            {script_.Flip() ? ErrorCode::kUnavailable : ErrorCode::kUnauthenticated, "no"}, now_);
      case 2:
        return Welcome();
      case 3:
      case 4:
        return Lease();
      case 5:
        return Grant();
      case 6:
        return Ack();
      case 7:
        return Change();
      case 8:
        return Raw();
      case 9:
        return Pass(std::chrono::milliseconds(10 * script_.Byte()));
      case 10:
        return Pass(std::chrono::seconds(script_.Byte()));
      case 11:
        return Read();
      case 12:
      case 13:
        return Start();
      case 14:
        return Answer();
      case 15:
        return Leave();
      default:
        return;
    }
  }

  // ---- what the coordinator says

  void Connect() {
    ++host_.current;
    host_.last_sequence = 0;
    host_.broken = false;
    session_.OnConnected(host_.current, now_);
  }
  void Tell(v1::CoordinatorMessage message) {
    // Of what was said, most likely.
    if (message.answers() == 0)
      message.set_answers(script_.Below(8) == 0 ? script_.Any() : host_.last_sequence);
    session_.OnMessage(host_.current, message, now_);
  }
  v1::LeaseRef Ref() {
    v1::LeaseRef ref;
    ref.set_shard(script_.Below(4));
    ref.set_attempt(script_.Below(3));
    ref.set_epoch(script_.Below(8) == 0 ? 6 : 7);
    return ref;
  }
  std::int64_t Position() {
    return script_.Below(8) == 0 ? static_cast<std::int64_t>(script_.Any())
                                 : std::int64_t{8} * script_.Byte();
  }
  v1::Limits Limits() {
    v1::Limits limits;
    limits.set_concurrency(script_.Below(4) == 0 ? static_cast<std::uint32_t>(script_.Any()) : 4);
    limits.set_attempts(script_.Byte());
    limits.set_retry_budget_percent(script_.Byte());
    limits.set_report_period_ms(script_.Below(4) == 0 ? static_cast<std::uint32_t>(script_.Any())
                                                      : 1000);
    return limits;
  }
  void Welcome() {
    v1::CoordinatorMessage message;
    v1::Welcome& welcome = *message.mutable_welcome();
    welcome.set_protocol_version(script_.Below(16) == 0 ? script_.Byte() : 1);
    welcome.set_epoch(script_.Below(8) == 0 ? 6 : 7);
    welcome.mutable_workload()->set_batch_size(batch_);
    *welcome.mutable_limits() = Limits();
    welcome.set_fence_ms(script_.Below(4) == 0 ? static_cast<std::uint32_t>(script_.Any())
                                               : 50'000);
    welcome.set_max_leases(script_.Below(4) == 0 ? static_cast<std::uint32_t>(script_.Any()) : 2);
    for (int n = script_.Below(4); n > 0; --n) *welcome.add_kept() = Ref();
    welcome.set_paused(script_.Below(8) == 0);
    Tell(std::move(message));
  }
  void Lease() {
    v1::CoordinatorMessage message;
    v1::Lease& lease = *message.mutable_lease();
    *lease.mutable_lease() = Ref();
    lease.set_begin(Position());
    lease.set_end(script_.Below(8) == 0 ? Position() : lease.begin() / 2 + 100);
    lease.set_cursor(script_.Below(8) == 0 ? Position() : lease.begin());
    if (script_.Below(8) == 0) {
      lease.set_done_above(std::string(script_.Text()));
      lease.mutable_counts()->set_updated(script_.Byte());
    }
    told_[lease.lease().shard()].push_back({lease.begin(), lease.end()});
    Tell(std::move(message));
  }
  void Grant() {
    static constexpr std::array kRates = {1e6,  1.0,
                                          0.0,  1e300,
                                          -1.0, std::numeric_limits<double>::infinity(),
                                          1e-9, std::numeric_limits<double>::quiet_NaN()};
    v1::CoordinatorMessage message;
    v1::Grant& grant = *message.mutable_grant();
    grant.set_sequence(script_.Below(4) == 0 ? script_.Any() : ++grants_);
    grant.set_records_per_second(kRates.at(script_.Byte() % kRates.size()));
    grant.set_burst(kRates.at(script_.Byte() % kRates.size()));
    grant.set_valid_for_ms(script_.Below(4) == 0 ? static_cast<std::uint32_t>(script_.Any())
                                                 : 30'000);
    Tell(std::move(message));
  }
  void Ack() {
    v1::CoordinatorMessage message;
    v1::Ack& ack = *message.mutable_ack();
    for (int n = script_.Below(4); n > 0; --n) *ack.add_held() = Ref();
    for (int n = script_.Below(3); n > 0; --n) *ack.add_done() = Ref();
    ack.set_failures_durable(script_.Flip() ? script_.Byte() : 0);
    Tell(std::move(message));
  }
  void Change() {
    v1::CoordinatorMessage message;
    switch (script_.Below(4)) {
      case 0:
        *message.mutable_shrink()->mutable_lease() = Ref();
        message.mutable_shrink()->set_end(Position());
        break;
      case 1:
        *message.mutable_revoke()->mutable_lease() = Ref();
        break;
      case 2:
        *message.mutable_limits() = Limits();
        break;
      default:
        message.mutable_pause()->set_paused(script_.Flip());
        break;
    }
    Tell(std::move(message));
  }
  void Raw() {
    v1::CoordinatorMessage message;
    if (!message.ParseFromString(std::string(script_.Text()))) return;
    if (message.has_welcome() && message.welcome().workload().batch_size() != batch_)
      message.mutable_welcome()->mutable_workload()->set_batch_size(batch_);
    if (message.has_lease()) {
      const v1::Lease& lease = message.lease();
      told_[lease.lease().shard()].push_back({lease.begin(), lease.end()});
    }
    Tell(std::move(message));
  }

  // ---- what the worker does

  void Pass(Duration time) {
    now_ += time;
    session_.Tick(now_);
  }
  void Read() {
    const auto wants = session_.engine().WantsRecords();
    if (!wants) return;
    Require(wants->max > 0, "it asks for something");
    std::vector<worker::Record> block;
    const auto most = std::min<std::uint64_t>(wants->max, 1U + script_.Byte());
    for (std::uint64_t i = 0; i < most; ++i) {
      const backfill::Position at = Advance(wants->from, i);
      block.push_back({.position = at, .key = std::to_string(at)});
    }
    if (script_.Below(8) == 0) block.front().problem = "line 1: no key";
    const Status taken = session_.engine().OnRecords(wants->run, std::move(block));
    Require(taken.ok(), "what was asked for is taken");
  }
  void Start() {
    for (int n = 1 + script_.Below(16); n > 0; --n) {
      const auto dispatch = session_.engine().Next(now_);
      if (!dispatch) return;
      Require(!dispatch->records->empty() && dispatch->records->size() <= batch_,
              "a request has one record or more, and no more than a batch");
      for (const worker::Record& record : *dispatch->records) {
        const auto& ranges = told_[dispatch->shard.value];
        Require(std::ranges::any_of(ranges,
                                    [&](const Range& r) { return r.Contains(record.position); }),
                "only what was leased is sent");
      }
      in_flight_.emplace_back(dispatch->slot, dispatch->records->size());
      Require(in_flight_.size() <= kMostRequests, "requests are bounded");
    }
  }
  void Answer() {
    if (in_flight_.empty()) return;
    const std::size_t which = script_.Byte() % in_flight_.size();
    const auto [slot, records] = in_flight_[which];
    in_flight_.erase(in_flight_.begin() + static_cast<std::ptrdiff_t>(which));
    worker::BatchResult result;
    result.verdict = {static_cast<worker::Outcome>(script_.Below(4)),
                      static_cast<worker::FailureClass>(script_.Below(4)), "no"};
    result.delivery = static_cast<worker::Delivery>(script_.Below(3));
    result.unreachable = script_.Below(4) == 0;
    result.withdrawn = script_.Below(8) == 0;
    if (script_.Flip()) {
      result.per_record = true;
      for (std::uint32_t i = 0; i < records; ++i) {
        if (script_.Flip())
          result.records.emplace_back(
              i, worker::Verdict{static_cast<worker::Outcome>(script_.Below(4)), {}, ""});
      }
    }
    if (script_.Below(4) == 0) result.retry_after = std::chrono::seconds(script_.Byte());
    session_.engine().OnResult(slot, std::move(result), now_);
    session_.Tick(now_);
  }
  void Leave() {
    switch (script_.Below(8)) {
      case 0:
        return session_.Drain(now_);
      case 1:
        session_.SetSourceTrouble(Error{ErrorCode::kConflict, "the file is another one"});
        return session_.Tick(now_);
      case 2: {
        v1::CoordinatorMessage message;
        message.mutable_no_more_work();
        return Tell(std::move(message));
      }
      default:
        return session_.SetSourceTrouble(std::nullopt);
    }
  }

  Script script_;
  const std::uint32_t batch_ = 1U + script_.Below(3);
  Time now_{1h};
  Host host_;
  Session session_{{.uid = "u", .stage = "run", .worker = "run-0", .instance = "i"}, host_};
  std::map<std::int32_t, std::vector<Range>> told_;  // leases, by shard
  std::vector<std::pair<std::uint32_t, std::size_t>> in_flight_;
  std::uint64_t grants_ = 0;
};

}  // namespace
}  // namespace backfill::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  backfill::fuzz::World(backfill::fuzz::View(data, size)).Play();
  return 0;
}
