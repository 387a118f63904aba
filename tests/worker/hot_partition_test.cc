// A target with four partitions, one of them with a quarter of the capacity of the others, and all
// that stands between its metrics and its records: governors, the coordinator of a stage, the
// protocol, engines. Without processes and network; hours in a moment.
#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <numeric>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "operator/coordinator/ledger_store.h"
#include "operator/coordinator/stage_run.h"
#include "operator/coordinator/takeover.h"
#include "operator/reconcile/throttling.h"
#include "tests/fakes/manual_clock.h"
#include "tests/fakes/memory_store.h"
#include "tests/operator/coordinator/plans.h"
#include "worker/link/session.h"

namespace backfill::worker {
namespace {

using coordinator::StageRun;

constexpr Duration kStep = 200ms;
constexpr Duration kScrape = 5s;
constexpr std::size_t kWindow = 10;  // seconds
constexpr std::size_t kPartitions = 4;
constexpr std::size_t kHot = 2;

std::string NameOf(std::size_t partition) { return "p" + std::to_string(partition); }

// Knows how much of its capacity each partition has used over the last seconds, as of the
// last scrape.
class Target {
 public:
  explicit Target(std::array<double, kPartitions> capacity) : capacity_(capacity) {}
  void Receive(std::size_t partition) {
    ++second_[partition];
    ++total_[partition];
  }
  void EndOfSecond() {
    seconds_.push_back(std::exchange(second_, {}));
    if (seconds_.size() > kWindow) seconds_.pop_front();
  }
  [[nodiscard]] double Utilisation(std::size_t partition) const {
    double sent = 0;
    for (const auto& second : seconds_) sent += second[partition];
    return sent / kWindow / capacity_[partition];
  }
  [[nodiscard]] const std::array<double, kPartitions>& total() const { return total_; }

 private:
  std::array<double, kPartitions> capacity_;
  std::array<double, kPartitions> second_{}, total_{};
  std::deque<std::array<double, kPartitions>> seconds_;
};

class SimulatedWorker final : public Session::Host {
 public:
  SimulatedWorker(std::string name, PartitionOf of)
      : of_(std::move(of)),
        session_({.uid = "u", .stage = "run", .worker = std::move(name), .instance = "i"}, *this) {}

  bool Send(std::uint64_t /*stream*/, v1::WorkerMessage message) override {
    out.push_back(std::move(message));
    return true;
  }
  Status OnWorkload(const v1::Workload& workload) override {
    EXPECT_FALSE(workload.partition_by().empty());
    session_.engine().PartitionBy(of_);
    return Ok{};
  }
  void SetReconnectWindow(Duration /*window*/) override {}
  void ReconnectSoon() override {}
  std::vector<TargetSample> TakeSamples() override { return {}; }
  void OnExtent(const v1::FileExtent& /*extent*/) override {}

  // Sends what may go; it is answered at once.
  template <typename OnRecord>
  void Work(Time now, const OnRecord& on_record) {
    Engine& engine = session_.engine();
    for (;;) {
      while (const auto wants = engine.WantsRecords()) {
        std::vector<Record> records;
        for (std::uint64_t i = 0; i < wants->max; ++i) {
          const Position p = Advance(wants->from, i);
          records.push_back({.position = p, .key = std::to_string(p)});
        }
        ASSERT_TRUE(engine.OnRecords(wants->run, std::move(records)).ok());
      }
      const auto dispatch = engine.Next(now);
      if (!dispatch) break;
      for (const Record& record : *dispatch->records) on_record(record);
      engine.OnResult(dispatch->slot, {.latency = 5ms}, now);
    }
    session_.Tick(now);
  }
  Session& session() { return session_; }

  std::deque<v1::WorkerMessage> out;

 private:
  PartitionOf of_;
  Session session_;
};

class HotPartitionTest : public ::testing::Test,
                         public coordinator::MessageSink,
                         public coordinator::LedgerWriter,
                         public coordinator::Leadership {
 protected:
  using Of = std::size_t (*)(Position);

  void Begin(int shards, std::int64_t size, int workers, Of of) {
    of_ = of;
    coordinator::LedgerStore creator(memory_, coordinator::RunKey());
    ASSERT_TRUE(
        creator.Create(coordinator::Images(coordinator::PlanOf(shards, size)), Epoch{0}).ok());
    auto taken = coordinator::TakeOver(store_);
    ASSERT_TRUE(taken.ok());
    epoch_ = taken->epoch;
    v1::Workload workload;
    workload.set_backfill_name("reprice");
    workload.set_partition_by("{{fields.region}}");
    coordinator::StageOptions options;
    options.cursor_flush = 5s;
    stage_ = std::make_unique<StageRun>(
        coordinator::StageSetup{.workload = workload,
                                .ledger = std::move(taken->ledger),
                                .failures = std::move(taken->failures),
                                .epoch = taken->epoch,
                                .target_timeout = 5s,
                                .predecessors = lease::Predecessors::kProvenGone},
        options, clock_, *this, *this, *this);
    b_.name = "reprice";
    b_.uid = "u";
    b_.spec.dry_run = false;
    api::Throttle& throttle = b_.spec.throttle;
    throttle.max_records_per_second = 1000;
    throttle.initial_records_per_second = 2;
    throttle.partition_by = "{{fields.region}}";
    api::Budget& budget = throttle.budgets.emplace_back();
    budget.name = "utilisation";
    budget.max = "0.80";
    budget.target = "0.95";
    budget.prometheus.emplace().query = "u[10s]";
    budget.timing.window = "10s";
    budget.timing.scrape_interval = "5s";
    budget.timing.delay = "1s";
    budget.scope = api::BudgetScope::kPartition;
    budget.partition_label = "region";
    Scrape();
    for (int i = 0; i < workers; ++i) {
      workers_.push_back(std::make_unique<SimulatedWorker>(
          "run-" + std::to_string(i),
          [of](const Record& record) { return NameOf(of(record.position)); }));
      const auto session = static_cast<std::uint64_t>(i) + 1;
      workers_.back()->session().OnConnected(session, clock_.Steady());
      Deliver(session);
    }
  }

  void Run(Duration time) {
    for (Duration passed{}; passed < time && !HasFatalFailure(); passed += kStep) {
      clock_.Advance(kStep);
      ++steps_;
      if (steps_ % (1s / kStep) == 0) {
        target_.EndOfSecond();
        if (steps_ % (kScrape / kStep) == 0) Scrape();
        Govern();
      }
      for (std::uint64_t session = 1; session <= workers_.size(); ++session) {
        workers_[session - 1]->Work(clock_.Steady(), [this](const Record& record) {
          target_.Receive(of_(record.position));
          EXPECT_TRUE(sent_.insert(record.position).second) << "sent twice";
        });
        Deliver(session);
      }
      Settle();
    }
  }
  // Records a second to each partition in that time.
  std::array<double, kPartitions> RatesFor(Duration time) {
    const auto before = target_.total();
    Run(time);
    std::array<double, kPartitions> rates{};
    for (std::size_t i = 0; i < kPartitions; ++i)
      rates[i] = (target_.total()[i] - before[i]) / std::chrono::duration<double>(time).count();
    return rates;
  }

  static double Sum(const std::array<double, kPartitions>& rates) {
    return std::accumulate(rates.begin(), rates.end(), 0.0);
  }

  Target target_{{20, 20, 5, 20}};
  api::Backfill b_;
  reconcile::ThrottleView view_;
  std::set<Position> sent_;

 private:
  // ---- what the coordinator needs
  void Send(SessionId session, v1::CoordinatorMessage&& message) override {
    in_[session.value].push_back(std::move(message));
  }
  void Close(SessionId /*session*/, const Error& reason) override {
    ADD_FAILURE() << reason.message;
  }
  void Write(std::vector<coordinator::LedgerWrite> batch) override { held_ = std::move(batch); }
  [[nodiscard]] bool Valid(Time /*now*/) const override { return true; }

  void Deliver(std::uint64_t session) {
    SimulatedWorker& worker = *workers_[session - 1];
    for (; !worker.out.empty(); worker.out.pop_front())
      stage_->OnMessage({session}, worker.out.front());
    Settle();
    for (std::deque<v1::CoordinatorMessage>& in = in_[session]; !in.empty(); in.pop_front())
      worker.session().OnMessage(session, in.front(), clock_.Steady());
  }
  void Settle() {
    stage_->Settle();
    if (!held_) return;
    const auto batch = *std::exchange(held_, std::nullopt);
    stage_->OnWritten(store_.Write(batch, epoch_));
    stage_->Settle();
  }
  void Scrape() {
    std::map<std::string, throttle::Observation> said;
    double worst = 0;
    for (std::size_t i = 0; i < kPartitions; ++i) {
      said[NameOf(i)] = {throttle::Answer::kValue, target_.Utilisation(i), clock_.Steady(), ""};
      worst = std::max(worst, target_.Utilisation(i));
    }
    partitions_ = {said};
    observations_ = {{throttle::Answer::kValue, worst, clock_.Steady(), ""}};
  }
  void Govern() {
    const reconcile::StageSnapshot open = stage_->Snapshot();
    auto view = throttling_.Step(
        {.backfill = b_, .open = &open, .observations = observations_, .partitions = partitions_},
        clock_.Steady(), clock_.Wall());
    ASSERT_TRUE(view.ok()) << view.error().message;
    view_ = *view;
    stage_->Configure({.records_per_second = view_.rate,
                       .concurrency = 64,
                       .pressure = view_.pressure,
                       .partitions = view_.partitions});
  }

  Of of_ = nullptr;
  fakes::ManualClock clock_;
  fakes::MemoryStore memory_{&clock_};
  coordinator::LedgerStore store_{memory_, coordinator::RunKey()};
  Epoch epoch_;
  std::optional<std::vector<coordinator::LedgerWrite>> held_;
  std::unique_ptr<StageRun> stage_;
  std::vector<std::unique_ptr<SimulatedWorker>> workers_;
  std::map<std::uint64_t, std::deque<v1::CoordinatorMessage>> in_;
  reconcile::Throttling throttling_;
  std::vector<throttle::Observation> observations_;
  reconcile::PartitionThrottling::Answers partitions_;
  std::int64_t steps_ = 0;
};

// Keys of a partition lie together, as ids that begin with the region; every 13th shard is of the
// hot one. An oracle would send 16 + 16 + 4 + 16.
TEST_F(HotPartitionTest, WhereKeysOfAPartitionLieTogetherTheOthersRunAtTheirOwnRate) {
  Begin(400, 100, 2, [](Position p) {
    constexpr std::array<std::size_t, 3> kOthers = {0, 1, 3};
    const auto shard = static_cast<std::size_t>(p / 100);
    return shard % 13 == 0 ? kHot : kOthers[shard % 3];
  });
  Run(5min);
  const auto rates = RatesFor(2min);
  EXPECT_LE(rates[kHot], 0.80 * 5 * 1.05);
  EXPECT_GE(rates[kHot], 0.80 * 5 * 0.60);
  EXPECT_GE(Sum(rates), 0.80 * (16 + 16 + 4 + 16));
  for (std::size_t i = 0; i < kPartitions; ++i) EXPECT_LE(target_.Utilisation(i), 0.85);
  ASSERT_TRUE(view_.status && view_.status->slowest_partition);
  EXPECT_EQ(view_.status->slowest_partition->name, NameOf(kHot));
}

// Every shard has records of all: what waits for the hot partition holds back its lease's window,
// so in the long run all go at its pace. It still keeps to its budget, and nothing is lost.
TEST_F(HotPartitionTest, WhereKeysAreMixedTheHotPartitionKeepsToItsBudget) {
  Begin(400, 100, 2, [](Position p) { return static_cast<std::size_t>(p) % kPartitions; });
  Run(5min);
  const auto rates = RatesFor(2min);
  EXPECT_LE(rates[kHot], 0.80 * 5 * 1.05);
  EXPECT_GE(rates[kHot], 0.80 * 5 * 0.60);
  EXPECT_GE(Sum(rates), kPartitions * rates[kHot] * 0.9);
}

}  // namespace
}  // namespace backfill::worker
