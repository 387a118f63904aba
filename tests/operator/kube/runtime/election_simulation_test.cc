// Candidates, an API server and a network that does what networks do, in simulated time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "operator/kube/runtime/election.h"

namespace backfill::kube {
namespace {

using RequestKind = Election::Request::Kind;
using Phase = Election::Phase;

// Everything is due at a moment of true time; candidates see it through clocks of their own.
class World {
 public:
  struct Plan {
    int candidates = 3;
    double chaos = 1;                                       // faults a second
    double clock_error = 0.05;                              // of rate, at most
    ElectionOptions options = {};                           // of candidates
    std::optional<ElectionOptions> odd_one = std::nullopt;  // of the first
  };

  World(const Plan& plan, unsigned seed) : plan_(plan), random_(seed) {
    for (int i = 0; i < plan.candidates; ++i) {
      candidates_.push_back(std::make_unique<Candidate>());
      Candidate& c = *candidates_.back();
      c.number = i;
      c.offset = 1h + Between(0s, 24h);
      c.rate = 1 + plan.clock_error * (2 * Fraction() - 1);
      Start(c);
    }
  }

  void RunFor(Duration d, bool faults) {
    faults_ = faults;
    if (!faults) Heal();
    if (faults) PlanFault();
    const Duration end = now_ + d;
    while (!agenda_.empty() && agenda_.begin()->first.first <= end) {
      now_ = agenda_.begin()->first.first;
      const auto what = std::move(agenda_.begin()->second);
      agenda_.erase(agenda_.begin());
      what();
      Look();
    }
    now_ = end;
  }

  [[nodiscard]] int leaders() const {
    int n = 0;
    for (const auto& c : candidates_) {
      if (c->election && c->election->IsLeaderAt(Local(*c))) ++n;
    }
    return n;
  }

  int overlaps = 0;     // moments with two leaders
  int epochs_back = 0;  // holders of one Lease whose epoch was not higher
  int terms = 0;
  Duration led_since{};  // when the present leader began, in true time

 private:
  struct Candidate {
    int number = 0;
    Duration offset{};
    double rate = 1;
    std::optional<Election> election;  // absent: the process is not there
    int life = 0;                      // counts processes
    int request = 0;                   // counts requests
    Duration paused_until{};
    bool led = false;
  };

  [[nodiscard]] Time Local(const Candidate& c) const {
    return Time(c.offset + Duration(std::llround(static_cast<double>(now_.count()) * c.rate)));
  }
  [[nodiscard]] Duration TrueTimeOf(const Candidate& c, Time local) const {
    if (local == Time::max()) return 1h * 1000;
    const auto d = static_cast<double>((local.time_since_epoch() - c.offset).count());
    return std::max(now_, Duration(static_cast<std::int64_t>(std::ceil(d / c.rate))));
  }
  void At(Duration when, std::function<void()> what) {
    agenda_.emplace(std::pair(when, ++order_), std::move(what));
  }
  double Fraction() { return std::uniform_real_distribution<>(0, 1)(random_); }
  bool Chance(double p) { return Fraction() < p; }
  Duration Between(Duration low, Duration high) {
    return low + Duration(static_cast<std::int64_t>(Fraction() *
                                                    static_cast<double>((high - low).count())));
  }

  // ---- processes

  void Start(Candidate& c) {
    ElectionOptions options = c.number == 0 && plan_.odd_one ? *plan_.odd_one : plan_.options;
    options.identity = "pod-" + std::to_string(c.number) + "_" + std::to_string(++c.life);
    options.seed = random_();
    c.election.emplace(options);
    c.led = false;
    Step(c, c.life);
  }
  void End(Candidate& c) {
    c.election.reset();
    ++c.life;
    At(now_ + Between(100ms, 1s), [this, &c] { Start(c); });
  }

  // Runs what the process does next, unless it is stopped or another process by now.
  void Resume(Candidate& c, int life, Duration when, const std::function<void()>& what) {
    At(when, [this, &c, life, what] {
      if (c.life != life) return;
      if (now_ < c.paused_until) return Resume(c, life, c.paused_until, what);
      what();
    });
  }

  void Step(Candidate& c, int life) {
    const auto request = c.election->Next(Local(c), WallTime{});
    if (c.election->phase() == Phase::kLost || c.election->phase() == Phase::kStopped) {
      return End(c);
    }
    if (request) return Send(c, life, *request);
    Resume(c, life, TrueTimeOf(c, c.election->NextAt()) + 1ns, [this, &c, life] { Step(c, life); });
  }

  void Send(Candidate& c, int life, const Election::Request& request) {
    const int number = ++c.request;
    const auto answer = [this, &c, life, number](const ApiResult<StoredLease>& result) {
      if (c.request != number) return;  // it has given up on this one
      ++c.request;
      c.election->OnResult(result, Local(c));
      Step(c, life);
    };
    Resume(c, life, TrueTimeOf(c, request.deadline),
           [answer] { answer(ErrorWith(ApiErrorKind::kDeadline)); });
    const bool slow = faults_ && Chance(0.05);
    const Duration there = slow ? Between(0s, 10s) : Between(1ms, 100ms);
    const Duration back = slow ? Between(0s, 2s) : Between(1ms, 100ms);
    const bool lost = faults_ && Chance(0.05);
    const bool answer_lost = faults_ && Chance(0.05);
    if (lost) return;
    At(now_ + there, [=, this, &c] {
      // A process that has ended since may still have sent it.
      const ApiResult<StoredLease> result =
          now_ < api_down_until_ ? ErrorWith(ApiErrorKind::kUnavailable) : Serve(request);
      if (!answer_lost) Resume(c, life, now_ + back, [answer, result] { answer(result); });
    });
  }

  // ---- the API server

  static ApiResult<StoredLease> ErrorWith(ApiErrorKind kind) {
    ApiError e;
    e.kind = kind;
    return e;
  }
  void Put(const LeaseRecord& record) {
    lease_ = StoredLease{.record = record, .version = std::to_string(++version_), .object = {}};
  }
  ApiResult<StoredLease> Serve(const Election::Request& request) {
    switch (request.kind) {
      case RequestKind::kRead:
        if (!lease_) return ErrorWith(ApiErrorKind::kNotFound);
        return *lease_;
      case RequestKind::kCreate:
        if (lease_) return ErrorWith(ApiErrorKind::kAlreadyExists);
        holder_.clear();
        epoch_ = request.record.transitions;
        break;
      case RequestKind::kUpdate:
        if (!lease_) return ErrorWith(ApiErrorKind::kNotFound);
        if (lease_->version != request.base.version) return ErrorWith(ApiErrorKind::kConflict);
        break;
    }
    Put(request.record);
    const LeaseRecord& record = request.record;
    if (!record.holder.empty() && record.holder != holder_) {
      if (record.transitions <= epoch_) ++epochs_back;
      holder_ = record.holder;
      epoch_ = record.transitions;
    }
    return *lease_;
  }

  // ---- faults

  void PlanFault() {
    At(now_ + Between(0s, Duration(static_cast<std::int64_t>(2e9 / plan_.chaos))), [this] {
      if (!faults_) return;
      Fault();
      PlanFault();
    });
  }
  void Fault() {
    Candidate& c = *candidates_[random_() % candidates_.size()];
    switch (random_() % 8) {
      case 0:
      case 1:
        c.paused_until = now_ + Between(100ms, 10s);
        break;
      case 2:
        if (c.election) End(c);  // kill -9
        break;
      case 3:
        if (c.election) c.election->Release(Local(c));
        break;
      case 4:
        api_down_until_ = now_ + Between(100ms, 8s);
        break;
      case 5:
        lease_.reset();
        break;
      case 6:
        if (lease_) Put(lease_->record);  // somebody sets a label
        break;
      default:
        if (!lease_) break;
        LeaseRecord record = lease_->record;  // somebody takes the holder out by hand
        record.holder.clear();
        Put(record);
    }
  }
  void Heal() {
    api_down_until_ = now_;
    for (const auto& c : candidates_) c->paused_until = std::min(c->paused_until, now_);
  }

  // ---- what must hold

  void Look() {
    if (leaders() > 1) ++overlaps;
    for (const auto& c : candidates_) {
      const bool leads = c->election && c->election->IsLeaderAt(Local(*c));
      if (leads && !c->led) {
        ++terms;
        led_since = now_;
      }
      c->led = leads;
    }
  }

  const Plan plan_;
  std::mt19937 random_;
  std::map<std::pair<Duration, std::uint64_t>, std::function<void()>> agenda_;
  std::uint64_t order_ = 0;
  Duration now_{};
  std::vector<std::unique_ptr<Candidate>> candidates_;
  std::optional<StoredLease> lease_;
  int version_ = 0;
  Duration api_down_until_{};
  bool faults_ = false;
  std::string holder_;  // the last of this Lease who was not nobody
  std::int64_t epoch_ = 0;
};

TEST(ElectionSimulationTest, R37_R38_NeverTwoLeadersAndSoonOneWhateverHappens) {
  constexpr double kFaultsASecond[] = {0.05, 0.1, 0.2, 0.4, 1};
  int terms = 0;
  for (unsigned seed = 0; seed < 150; ++seed) {
    SCOPED_TRACE(seed);
    World world({.candidates = 2 + static_cast<int>(seed % 2), .chaos = kFaultsASecond[seed % 5]},
                seed);
    world.RunFor(5min, true);
    EXPECT_EQ(world.overlaps, 0);
    EXPECT_EQ(world.epochs_back, 0);
    // What was under way, a restart, the Lease, looks and the spread, on a clock that is 5 % slow.
    world.RunFor(12s, false);
    EXPECT_EQ(world.leaders(), 1);
    const int settled = world.terms;
    world.RunFor(1min, false);
    EXPECT_LE(world.terms, settled + 1) << "a leader that nothing disturbs stays";
    EXPECT_EQ(world.overlaps, 0);
    terms += world.terms;
  }
  EXPECT_GT(terms, 1'500) << "faults that change nothing prove nothing";
}

TEST(ElectionSimulationTest, AQuietWorldHasItsLeaderWithinTheLeaseAndTwoRetries) {
  for (unsigned seed = 0; seed < 100; ++seed) {
    SCOPED_TRACE(seed);
    World world({.clock_error = 0}, seed);
    world.RunFor(1min, false);
    EXPECT_LE(world.led_since, 5s + 2s + 200ms + 800ms);  // and the time of four requests
    EXPECT_EQ(world.terms, 1);
  }
}

// The simulation must be able to fail.
TEST(ElectionSimulationTest, ItNoticesALeaderThatStaysTooLong) {
  int overlaps = 0;
  for (unsigned seed = 0; seed < 20; ++seed) {
    ElectionOptions stays;  // what Validate() refuses
    stays.renew_deadline = 8s;
    World world({.chaos = 0.2, .odd_one = stays}, seed);
    world.RunFor(5min, true);
    overlaps += world.overlaps;
  }
  EXPECT_GT(overlaps, 0);
}

}  // namespace
}  // namespace backfill::kube
