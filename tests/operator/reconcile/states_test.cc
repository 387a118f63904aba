// Every state that a Backfill can be seen in, as an API server would show it: made by Decide, kept
// in states/*.yaml. What tools make of them is tested from those files (tests/gitops).
// BACKFILL_UPDATE_GOLDEN=1 rewrites them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <sstream>

#include "operator/api/decode.h"
#include "tests/operator/reconcile/decide_fixture.h"

namespace backfill::reconcile {
namespace {

using namespace std::chrono_literals;

// Carries a Backfill into a state.
class Journey : public DecideTest {
 public:
  void TestBody() override {}

  explicit Journey(const std::string& name) {
    o_.backfill.name = name;
    o_.backfill.ns = "shop";
    o_.backfill.uid = "6ba7b810-9dad-41d1-80b4-00c04fd430c8";
    o_.backfill.resource_version = "4711";
    o_.backfill.creation_time = FormatWallTime(kNow);
    o_.backfill.spec.target.url = "http://orders/v1/orders/{{key}}/reprice";
    o_.backfill.spec.sharding = api::Sharding{100};
    o_.backfill.finalizers = {api::kDrainFinalizer};
    o_.needs_finalizer = true;
  }
  void GoReal() {
    RealRun();
    o_.backfill.spec.perform_disruptive_backfill = o_.backfill.name;
  }
  void Running() {
    GoReal();
    Planned();
    ReportBegun();
    Opened(o_.run, 4).attempts_per_second = 480;
    Step();
    Later(1min);
  }
  void RunOver(std::uint64_t failed = 0) {
    WorkersGone(o_.run);
    o_.run.open.reset();
    o_.run.ledger->totals = TotalsOf(10, 10, 100, failed);
  }
  void StoreIsAway() {
    o_.run.open->error = Error{ErrorCode::kUnavailable, "writing the ledger: connection refused"};
  }
  void DryRunOver() {
    Planned();
    o_.dry_run.ledger->totals = TotalsOf(10, 10, 100);
    o_.backfill.status.dry_run = api::ProgressStatus{1000, 0, 0, 1000, 0, 10, "1.000", 0};
  }
  // A server counts it as another generation.
  // A worker looks at the file.
  void OfAFile() {
    o_.backfill.spec.source = api::FileSource{
        .path = "/data/orders.csv", .format = api::FileFormat::kCsv, .key = "id", .delimiter = {}};
    o_.plans_in_worker = true;
    Step();
    o_.planning.open.emplace();
    o_.planning.open->connected = true;
    o_.planning.pool.alive = o_.planning.pool.desired = 1;
  }
  void IsDeleted() {
    o_.backfill.deletion_time = FormatWallTime(now_);
    ++o_.backfill.generation;
  }

  const api::Backfill& Seen() const { return o_.backfill; }
  Observed& Observe() { return o_; }
  using DecideTest::Later;
  using DecideTest::Opened;
  using DecideTest::PausedBy;
  using DecideTest::Planned;
  using DecideTest::Step;
};

struct State {
  const char* name;
  std::function<void(Journey&)> go;
};

const std::vector<State>& States() {
  static const std::vector<State> states = {
      // A status that is created is the default of the schema.
      {"created", [](Journey&) {}},
      {"pending",
       [](Journey& j) {
         j.Observe().backfill.finalizers.clear();
         j.Step();
       }},
      {"planning", [](Journey& j) { j.Step(); }},
      {"planning-in-worker",
       [](Journey& j) {
         j.OfAFile();
         j.Observe().planning.open->bytes_read = 1'300'000'000;
         j.Observe().planning.open->bytes_total = 4'000'000'000;
         j.Observe().planning.open->records = 12'000'000;
         j.Step();
       }},
      {"dry-running",
       [](Journey& j) {
         j.Planned();
         j.Opened(j.Observe().dry_run, 3);
         j.Step();
       }},
      {"dry-run-done",
       [](Journey& j) {
         j.DryRunOver();
         j.Step();
       }},
      {"running",
       [](Journey& j) {
         j.Running();
         j.Step();
       }},
      {"target-away",
       [](Journey& j) {
         j.Running();
         StageSnapshot& open = *j.Observe().run.open;
         open.working = open.without_target = 2;
         open.attempts_per_second = 0;
         open.target_trouble = "connecting: Connection refused";
         j.Step();
       }},
      {"paused",
       [](Journey& j) {
         j.Running();
         j.PausedBy("incident 4711");
         j.Step();
       }},
      {"edited-not-seen",
       [](Journey& j) {
         j.Running();
         j.Step();
         j.Observe().backfill.generation = 2;
         j.Observe().backfill.spec.workers.replicas = 4;
       }},
      {"draining",
       [](Journey& j) {
         j.Running();
         j.Opened(j.Observe().run, 10);
         j.Step();
       }},
      {"replacing-workers",
       [](Journey& j) {
         j.Running();
         j.Observe().backfill.spec.target.body = "{{records}}";
         j.Observe().backfill.spec.target.url = "http://orders/v1/orders";
         j.Observe().backfill.spec.workers.batch_size = 20;
         j.Step();
       }},
      {"plan-error",
       [](Journey& j) {
         j.Step();
         j.Observe().last_error = Error{ErrorCode::kUnavailable, "planning: connection refused"};
         j.Step();
       }},
      {"plan-file-missing",
       [](Journey& j) {
         j.OfAFile();
         j.Observe().planning.open.reset();
         j.Observe().planning_error = j.Observe().last_error = Error{
             ErrorCode::kUnavailable, "planning: /data/orders.csv: No such file or directory"};
         j.Observe().retry_later = true;
         j.Step();
       }},
      {"plan-file-refused",
       [](Journey& j) {
         j.OfAFile();
         j.Observe().planning.open.reset();
         j.Observe().last_error = Error{
             ErrorCode::kInvalid, "planning: reading /data/orders.csv: there is no column id"};
         j.Observe().retry_later = true;
         j.Step();
       }},
      {"plan-worker-dies",
       [](Journey& j) {
         j.OfAFile();
         j.Observe().planning.pool.failures = 5;
         j.Observe().planning.pool.last_failure = "plan-0 was killed by signal 9 (OOMKilled)";
         j.Step();
       }},
      {"error-at-first",
       [](Journey& j) {
         j.Running();
         j.StoreIsAway();
         j.Step();
       }},
      {"error-that-lasts",
       [](Journey& j) {
         j.Running();
         j.StoreIsAway();
         j.Step();
         j.Later(10min);
         j.Step();
       }},
      {"error-healed",
       [](Journey& j) {
         j.Running();
         j.StoreIsAway();
         j.Step();
         j.Later(10min);
         j.Step();
         j.Observe().run.open->error.reset();
         j.Step();
       }},
      {"workers-refused",
       [](Journey& j) {
         j.Running();
         j.Observe().run.pool.trouble = PoolTrouble{"QuotaExceeded", "pods: exceeded quota"};
         j.Step();
       }},
      {"budget-paused",
       [](Journey& j) {
         j.Running();
         j.Observe().backfill.spec.failure_policy.max_failed_records = 10;
         j.Observe().run.open->totals.counts.failed = 11;
         j.Step();
       }},
      {"already-ran",
       [](Journey& j) {
         j.GoReal();
         j.Observe().report = ReportState::kOtherRun;
         j.Step();
       }},
      {"worker-config-error",
       [](Journey& j) {
         j.Running();
         j.Observe().run.pool.config_error = true;
         j.Observe().run.pool.last_failure = "run-1 exited with 78";
         j.Step();
       }},
      {"invalid-spec",
       [](Journey& j) {
         j.Observe().invalid = Error{ErrorCode::kInvalid, "spec.target.http.url: no such field"};
         j.Step();
       }},
      {"completed",
       [](Journey& j) {
         j.Running();
         j.RunOver();
         j.Observe().report = ReportState::kCompleted;
         j.Step();
       }},
      {"completed-with-failures",
       [](Journey& j) {
         j.Running();
         j.RunOver(3);
         j.Observe().report = ReportState::kCompleted;
         j.Step();
       }},
      {"failed",
       [](Journey& j) {
         j.Running();
         j.Observe().backfill.spec.failure_policy.max_failed_records = 10;
         j.Observe().backfill.spec.failure_policy.on_exceeded = api::OnExceeded::kFail;
         j.RunOver(11);
         j.Observe().report = ReportState::kFailed;
         j.Step();
       }},
      {"deleting",
       [](Journey& j) {
         j.Running();
         j.IsDeleted();
         j.Step();
       }},
      {"deleted",
       [](Journey& j) {
         j.Running();
         j.RunOver();
         j.Observe().report = ReportState::kCancelled;
         j.IsDeleted();
         j.Step();
       }},
  };
  return states;
}

std::string FileOf(const std::string& state) {
  return std::string(BACKFILL_STATES) + "/" + state + ".yaml";
}

std::string YamlOf(const Journey& journey) {
  const api::Backfill& b = journey.Seen();
  std::string text = api::ToYaml(b);
  if (b.status == api::Status{}) text += "status:\n  observedGeneration: -1\n";
  return text;
}

class StatesTest : public testing::TestWithParam<State> {};

TEST_P(StatesTest, IsAsItsFileSays) {
  Journey journey(GetParam().name);
  GetParam().go(journey);
  const std::string text = YamlOf(journey);
  const std::string file = FileOf(GetParam().name);
  if (std::getenv("BACKFILL_UPDATE_GOLDEN") != nullptr) {  // NOLINT: no other thread
    std::ofstream(file) << text;
    return;
  }
  std::ifstream in(file);
  ASSERT_TRUE(in) << file << " is missing: run with BACKFILL_UPDATE_GOLDEN=1";
  std::stringstream expected;
  expected << in.rdbuf();
  EXPECT_EQ(expected.str(), text);
}

TEST_P(StatesTest, HasTheConditionsThatEveryStatusHas) {
  Journey journey(GetParam().name);
  GetParam().go(journey);
  const api::Status& status = journey.Seen().status;
  if (status == api::Status{}) return;
  std::set<std::string> types;
  for (const api::Condition& c : status.conditions) {
    EXPECT_TRUE(types.insert(c.type).second) << c.type << " is there twice";
    EXPECT_FALSE(c.reason.empty()) << c.type;
    EXPECT_EQ(c.observed_generation, status.observed_generation) << c.type;
    EXPECT_EQ(c.last_transition_time.size(), 20U) << c.type;
  }
  for (const char* type :
       {"Ready", "Succeeded", "Planned", "Approved", "Paused", "Throttled", "Verified"})
    EXPECT_TRUE(types.contains(type)) << type;
  EXPECT_FALSE(types.contains("Reconciling") && types.contains("Stalled"));
  for (const char* type : {"Reconciling", "Stalled"}) {
    const api::Condition* c = api::FindCondition(status, type);
    EXPECT_TRUE(c == nullptr || c->status == api::ConditionStatus::kTrue) << type;
  }
}

INSTANTIATE_TEST_SUITE_P(All, StatesTest, testing::ValuesIn(States()), [](const auto& state) {
  std::string name = state.param.name;
  std::erase(name, '-');
  return name;
});

// F27 reads the table of verdicts: no state may be missing there, and none is there for nothing.
TEST(StatesTableTest, F27_TheTableOfVerdictsHasEveryState) {
  std::set<std::string> wanted, listed;
  for (const State& state : States()) wanted.insert(state.name);
  std::ifstream table(std::string(BACKFILL_STATES) + "/verdicts.txt");
  for (std::string line; std::getline(table, line);) {
    if (line.empty() || line[0] == '#') continue;
    EXPECT_TRUE(listed.insert(line.substr(0, line.find(' '))).second) << line;
  }
  EXPECT_EQ(listed, wanted);
  std::set<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(BACKFILL_STATES)) {
    if (entry.path().extension() == ".yaml") files.insert(entry.path().stem());
  }
  EXPECT_EQ(files, wanted);
}

// ---- whatever is in the spec, in annotations and in what others say

rc::Gen<std::string> Hostile() {
  return rc::gen::map(
      rc::gen::pair(rc::gen::element<std::string>("x", "\"", "\\", "\x01", "\xc3\xa4",
                                                  "\xf0\x9f\x98\x80", "\xff", "\n", "\xe2\x80\xa8"),
                    rc::gen::inRange(0, 3000)),
      [](const std::pair<std::string, int>& of) {
        std::string text;
        for (int i = 0; i < of.second; ++i) text += of.first;
        return text;
      });
}

TEST(StatusSizeTest, NoStatusIsLargerThan4096BytesOrUnreadable) {
  EXPECT_TRUE(rc::check([] {
    const auto& states = States();
    const State& state = *rc::gen::elementOf(states);
    Journey journey(state.name);
    Observed& o = journey.Observe();
    o.backfill.annotations[api::kPausedAnnotation] = *Hostile();
    o.backfill.spec.description = *Hostile();
    state.go(journey);
    if (*rc::gen::arbitrary<bool>()) o.last_error = Error{ErrorCode::kUnavailable, *Hostile()};
    if (*rc::gen::arbitrary<bool>()) o.invalid = Error{ErrorCode::kInvalid, *Hostile()};
    if (*rc::gen::arbitrary<bool>()) o.run.pool.trouble = PoolTrouble{*Hostile(), *Hostile()};
    if (o.run.open) o.run.open->target_trouble = *Hostile();
    o.run.pool.last_failure = *Hostile();
    o.run.ledger_error = Error{ErrorCode::kInternal, *Hostile()};
    if (o.backfill.status.plan) {
      o.backfill.status.plan->records = ~std::uint64_t{0};
      o.backfill.status.plan->shards = 100'000;
    }
    o.backfill.generation = std::numeric_limits<std::int64_t>::max();
    journey.Step();
    const std::string json = api::StatusToJson(journey.Seen().status);
    RC_ASSERT(json.size() <= 4096U);
    kube::Object object = api::ToObject(journey.Seen());
    object.annotations.clear();
    const api::Status read = api::HeadFromObject(object).status;
    for (const api::Condition& c : journey.Seen().status.conditions) {
      const api::Condition* back = api::FindCondition(read, c.type);
      RC_ASSERT(back != nullptr);
      RC_ASSERT(back->status == c.status);
      RC_ASSERT(back->message.size() <= 160U);
    }
  }));
}

}  // namespace
}  // namespace backfill::reconcile
