#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <limits>

#include "base/utf8.h"
#include "operator/api/codec.h"
#include "operator/api/decode.h"
#include "operator/api/json.h"
#include "tests/operator/api/cases.h"

namespace backfill::api {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

Backfill Smallest() {
  Backfill b;
  b.name = "a";
  b.ns = "shop";
  b.spec.source = RangeSource{0, 10};
  b.spec.target.url = "http://orders/{{key}}";
  return b;
}

rc::Gen<std::string> Text() {
  return rc::gen::element<std::string>("", "x", "no", "010", "two\nlines", "\"quoted\"", "ä😀",
                                       "a: b", " ");
}

rc::Gen<Backfill> AnyBackfill() {
  return rc::gen::exec([] {
    Backfill b = Smallest();
    b.uid = "u-1";
    b.resource_version = "17";
    b.generation = *rc::gen::inRange(1, 100);
    b.creation_time = "2026-01-01T00:00:00Z";
    if (*rc::gen::arbitrary<bool>()) b.annotations = {{kPausedAnnotation, *Text()}};
    if (*rc::gen::arbitrary<bool>()) b.labels = {{"team", *Text()}};
    Spec& spec = b.spec;
    spec.description = *Text();
    if (*rc::gen::arbitrary<bool>()) {
      spec.owner = Owner{*Text(), *Text(), *Text()};
      spec.stakeholders = {{"orders", *Text(), *Text()}, {"b", "", ""}};
    }
    if (*rc::gen::arbitrary<bool>()) {
      const auto ends = *rc::gen::arbitrary<std::pair<std::int64_t, std::int64_t>>();
      spec.source = RangeSource{std::min(ends.first, ends.second) / 2,
                                std::max(ends.first, ends.second) / 2};  // int64 counts it
    } else {
      spec.source =
          KeysSource{.keys = *rc::gen::container<std::vector<std::string>>(rc::gen::suchThat(
                         Text(), [](const std::string& s) { return !s.empty(); }))};
    }
    if (*rc::gen::inRange(0, 3) == 0) {
      spec.source = FailuresOfSource{
          "first", *rc::gen::element<std::string>("", "shop"),
          *rc::gen::element(std::vector<std::string>{}, std::vector<std::string>{"timeout"},
                            std::vector<std::string>{"transient", "permanent"})};
    }
    spec.target.method = *rc::gen::element<std::string>("POST", "PUT", "GET");
    spec.target.body = *Text();
    spec.workers.pod_template = *rc::gen::element<std::string>(
        "", R"({"spec":{"containers":[{"env":[{"name":"A","value":"no"}],"name":"worker"}]}})",
        R"({"metadata":{"labels":{"team":"010"}},"spec":{"hostNetwork":false,"priority":-5}})");
    if (*rc::gen::arbitrary<bool>()) spec.target.headers = {{"X-A", "no"}, {"X-B", "{{key}}"}};
    spec.target.timeout = std::chrono::milliseconds(*rc::gen::inRange(1, 600'000));
    if (*rc::gen::arbitrary<bool>()) {
      spec.target.url = "https://orders/{{key}}";
      spec.target.tls = HttpTls{"/ca.pem", "", "", *rc::gen::element<std::string>("", "orders")};
    }
    if (*rc::gen::arbitrary<bool>()) {
      spec.target.secret_headers = {
          {"Authorization", "Basic ", "/run/login", "", SecretEncoding::kBase64},
          {"X-Api-Key", "", "", "API_KEY", SecretEncoding::kNone}};
    }
    if (*rc::gen::arbitrary<bool>()) spec.target.outcomes.skipped = {404, 410};
    if (*rc::gen::arbitrary<bool>()) {
      spec.throttle.max_records_per_second = *rc::gen::inRange(1, 10'000'001);
      spec.target.dry_run = HttpDryRun{
          "POST", "http://orders/check/{{key}}", {{"X-C", "1"}}, *Text(), SideEffects::kNone};
      spec.throttle.max_records_per_second = 5;  // which such a request needs
    }
    if (*rc::gen::arbitrary<bool>()) {
      Budget& budget = spec.throttle.budgets.emplace_back();
      budget.name = "a";
      budget.max = "0.250";
      budget.prometheus =
          PrometheusMetric{"http://p:9090", "rate(a[1m])", *Text(), "prod", "1500ms"};
      budget.timing.window = *rc::gen::element<std::string>("", "1m30s");
      budget.on_missing = *rc::gen::element(OnMissing::kHold, OnMissing::kIgnore);
      budget.preset = *rc::gen::element<std::optional<Preset>>(std::nullopt, Preset::kKafkaLag);
      budget.target = *rc::gen::element<std::string>("", "0.60");
      budget.on_no_traffic =
          *rc::gen::element<std::optional<OnNoTraffic>>(std::nullopt, OnNoTraffic::kMissing);
      budget.reduce = *rc::gen::element<std::optional<Reduce>>(std::nullopt, Reduce::kAvg);
      spec.throttle.grants = {"20s", "1500ms"};
      spec.throttle.worker = {false, "1.50", *rc::gen::inRange(0, 101)};
      spec.throttle.override = Override{OverrideType::kPin, 7, "2026-10-01T18:00:00Z", "incident",
                                        *rc::gen::arbitrary<bool>()};
      spec.schedule = Schedule{"Europe/Berlin",
                               {{{"Mon", "Sun"}, "22:00", "06:00", 5}},
                               Outside{OutsideAction::kCap, 1},
                               {{"2026-11-27T00:00:00Z", "2026-11-30T00:00:00Z", *Text()}}};
    }
    if (*rc::gen::arbitrary<bool>()) spec.sharding = Sharding{std::int64_t{1} << 62};
    spec.workers.replicas = *rc::gen::inRange(1, 3001);
    spec.workers.concurrency = *rc::gen::inRange(1, 1025);
    spec.paused = *rc::gen::arbitrary<bool>();
    if (*rc::gen::arbitrary<bool>()) {
      spec.dry_run = false;
      spec.perform_disruptive_backfill = b.name;
      spec.throttle.max_records_per_second = *rc::gen::inRange(1, 10'000'001);
    }
    spec.failure_policy.max_failed_percent = *rc::gen::element<std::string>("0", "0.10", "100");
    spec.failure_policy.on_exceeded = *rc::gen::element(OnExceeded::kPause, OnExceeded::kFail);
    return b;
  });
}

Status WorstStatus(const std::string& filling) {
  const auto text = [&filling] {
    std::string out;
    while (out.size() < 500) out += filling;
    return out;
  };
  constexpr auto kMost = std::numeric_limits<std::uint64_t>::max();
  const ProgressStatus progress{
      kMost, kMost, kMost, kMost, kMost, std::numeric_limits<std::int64_t>::max(), text(), kMost};
  Status status;
  status.observed_generation = std::numeric_limits<std::int64_t>::max();
  status.phase = Phase::kAwaitingApproval;
  status.plan = PlanStatus{"sha256:" + std::string(64, 'f'), 100'000, kMost, text()};
  status.dry_run = progress;
  status.progress = progress;
  status.rate = RateStatus{std::numeric_limits<double>::max(), 12345.6789, text()};
  const BudgetStatus budget{text(), -1.234567e-300, 1e300, text(),
                            std::numeric_limits<std::int64_t>::max()};
  ThrottleStatus& throttle = status.throttle.emplace();
  throttle = {text(),
              text(),
              text(),
              text(),
              text(),
              1.0 / 3,
              std::vector(7, budget),
              1e300,
              0.1,
              1e-9,
              std::numeric_limits<int>::max(),
              5.5,
              text(),
              text(),
              text(),
              text()};
  throttle.slowest_partition = PartitionStatus{text(), 1e300, true};
  status.eta = text();
  status.workers = WorkersStatus{std::numeric_limits<int>::max(), std::numeric_limits<int>::max()};
  status.report = text();
  status.display = {text(), text(), text(), text(), text()};
  for (const char* type :
       {"Ready", "Reconciling", "Stalled", "Succeeded", "Planned", "Approved", "Paused",
        "Throttled", "Verified", "Ten", "Eleven", "Twelve", "Thirteen"}) {
    status.conditions.push_back({type + std::string(20, 'x'), ConditionStatus::kUnknown, text(),
                                 text(), std::numeric_limits<std::int64_t>::max(), text()});
  }
  return status;
}

TEST(EncodeTest, ObjectsSurviveTheStore) {
  EXPECT_TRUE(rc::check("FromObject(ToObject(b)) == b", [] {
    const Backfill b = *AnyBackfill();
    const auto read = FromObject(ToObject(b));
    if (!read.ok()) RC_FAIL(read.error().message);
    RC_ASSERT(read->name == b.name && read->ns == b.ns && read->uid == b.uid);
    RC_ASSERT(read->resource_version == b.resource_version && read->generation == b.generation);
    RC_ASSERT(read->creation_time == b.creation_time);
    RC_ASSERT(read->annotations == b.annotations && read->labels == b.labels);
    RC_ASSERT(read->spec == b.spec);
    RC_ASSERT(read->status == b.status);
  }));
}

TEST(EncodeTest, WhatIsPrintedCanBeDecodedAgain) {
  EXPECT_TRUE(rc::check("as YAML and as JSON", [] {
    const Backfill b = *AnyBackfill();
    for (const std::string& text : {ToYaml(b), ToJson(b)}) {
      const Decoded decoded = DecodeBackfill(text, "f");
      for (const Problem& problem : decoded.problems) RC_LOG() << ToString(problem);
      RC_ASSERT(decoded.backfill.has_value());
      RC_ASSERT(decoded.backfill->spec == b.spec);
      RC_ASSERT(decoded.backfill->annotations == b.annotations);
    }
  }));
}

TEST(EncodeTest, StatusSurvivesTheStore) {
  Backfill b = Smallest();
  b.status.observed_generation = 4;
  b.status.phase = Phase::kRunning;
  b.status.plan = PlanStatus{"sha256:ab", 3, 18'446'744'073'709'551'615U, "2026-01-01T00:00:00Z"};
  b.status.dry_run = ProgressStatus{5, 1, 2, 1, 1, 3, "1", 0};
  b.status.progress = ProgressStatus{5, 1, 2, 1, 1, 3, "0.6", 7};
  b.status.rate = RateStatus{12.5, 5000, "Max"};
  b.status.eta = "2026-01-01T01:00:00Z";
  b.status.workers = WorkersStatus{8, 7};
  b.status.report = "a-report";
  b.status.display = {"60%", "12/s (Max)", "3/5", "7/8", "ab"};
  b.status.conditions = {
      {"Ready", ConditionStatus::kTrue, "Running", "it \"runs\"", 4, "2026-01-01T00:00:00Z"},
      {"Succeeded", ConditionStatus::kUnknown, "", "", 0, ""}};
  const auto read = FromObject(ToObject(b));
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->status, b.status);
}

TEST(EncodeTest, NoStatusTakesMoreThanFourKibibytes) {
  for (const std::string filling : {"x", "\"", "\\", "\x01", "ä", "😀", "\xff", "\n"}) {
    SCOPED_TRACE(filling);
    const Status worst = WorstStatus(filling);
    const std::string json = StatusToJson(worst);
    EXPECT_LE(json.size(), 4096U);
    EXPECT_EQ(ValidUtf8Prefix(json), json.size());
    // What programs decide by is still there.
    EXPECT_THAT(json, HasSubstr(worst.plan->hash));
    EXPECT_THAT(json, HasSubstr("\"records\":18446744073709551615"));
    for (std::size_t i = 0; i < 10; ++i) EXPECT_THAT(json, HasSubstr(worst.conditions[i].type));
    Backfill b = Smallest();
    b.status = worst;
    const auto read = FromObject(ToObject(b));
    EXPECT_TRUE(read.ok()) << read.error().message;
  }
}

TEST(EncodeTest, MessagesHaveAtMost160BytesAndEndBetweenCharacters) {
  Status status;
  status.conditions = {{"Ready", ConditionStatus::kTrue, "R", std::string(159, 'x') + "ä", 1, ""}};
  EXPECT_THAT(StatusToJson(status), HasSubstr("\"message\":\"" + std::string(159, 'x') + "\""));
}

TEST(EncodeTest, NumbersThatMakeNoSenseAreClampedNotRefused) {
  Backfill b = Smallest();
  b.status.plan = PlanStatus{"h", -5, 0, ""};
  b.status.rate = RateStatus{std::numeric_limits<double>::quiet_NaN(),
                             -std::numeric_limits<double>::infinity(), ""};
  const auto read = FromObject(ToObject(b));
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->status.plan->shards, 0);
  EXPECT_EQ(read->status.rate->current, 0);
  EXPECT_EQ(read->status.rate->limit, 0);
}

kube::Object ObjectOf(const std::string& content, const std::string& status) {
  kube::Object object = ToObject(Smallest());
  object.content = content;
  object.status = status;
  return object;
}

TEST(FromObjectTest, ReadsThatItIsBeingDeletedAndWhoKeepsIt) {
  Backfill b = Smallest();
  EXPECT_FALSE(FromObject(ToObject(b))->deleting());
  b.deletion_time = "2027-01-15T08:00:00Z";
  b.finalizers = {kDrainFinalizer, "example.com/other"};
  const auto read = FromObject(ToObject(b));
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_TRUE(read->deleting());
  EXPECT_EQ(read->deletion_time, b.deletion_time);
  EXPECT_EQ(read->finalizers, b.finalizers);
}

TEST(FromObjectTest, NamesTheFieldThatIsWrong) {
  const std::string content = ToObject(Smallest()).content;
  const std::pair<kube::Object, const char*> table[] = {
      {ObjectOf("", ""), "content: this is not a JSON object"},
      {ObjectOf("[]", ""), "content: this is not a JSON object"},
      {ObjectOf("{\"spec\": 5}", ""), "spec: must be a map with"},
      {ObjectOf("{}", ""), "spec: is missing"},
      {ObjectOf(content, "{\"phase\": \"Dreaming\"}"), "status.phase: must be one of Pending"},
      {ObjectOf(content, "{\"progress\": {\"records\": -1}}"),
       "status.progress.records: must be at least 0"},
      {ObjectOf(content, "nope"), "status: this is not a JSON object"},
      {ObjectOf("{\"metadata\": {\"name\": \"x\"}}", ""), "content: has a metadata"},
      {ObjectOf("{\"a\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}", ""),
       "64 levels"},
  };
  for (const auto& [object, expected] : table) {
    const auto read = FromObject(object);
    ASSERT_FALSE(read.ok()) << expected;
    EXPECT_EQ(read.error().code, ErrorCode::kInvalid);
    EXPECT_THAT(read.error().message, HasSubstr("reading Backfill shop/a: "));
    EXPECT_THAT(read.error().message, HasSubstr(expected));
  }
}

TEST(FromObjectTest, FillsInDefaultsOfFieldsThatAStoreDoesNotKnow) {
  const auto read = FromObject(ObjectOf(
      R"({"spec":{"source":{"range":{"start":0,"end":10}},"target":{"http":{"url":"http://orders/{{key}}"}}}})",
      ""));
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->spec, Smallest().spec);
  EXPECT_EQ(read->status, Status{});
}

TEST(CanonicalWorkTest, IsSortedWithoutBlanksAndWithDefaults) {
  Spec spec = Smallest().spec;
  spec.sharding = Sharding{5};
  spec.target.outcomes.skipped = {410, 404};
  EXPECT_EQ(
      CanonicalWork(spec),
      R"({"sharding":{"recordsPerShard":5},"source":{"range":{"end":10,"start":0}},"target":{"http":{"body":"","headers":{},"method":"POST","outcomes":{"conflict":[],"permanent":[],"skipped":[404,410],"transient":[],"unchanged":[],"updated":[]},"timeout":"5s","url":"http://orders/{{key}}"}}})");
}

TEST(CanonicalWorkTest, DependsOnTheWorkOnly) {
  const Spec spec = Smallest().spec;
  Spec other = spec;
  other.description = "x";
  other.owner = Owner{"payments", "", ""};
  other.stakeholders = {{"orders", "", ""}};
  other.workers.replicas = 9;
  other.dry_run = false;
  other.throttle.max_records_per_second = 5;
  other.failure_policy.attempts = 1;
  EXPECT_EQ(CanonicalWork(other), CanonicalWork(spec));
  other.target.headers["X-A"] = "1";
  EXPECT_NE(CanonicalWork(other), CanonicalWork(spec));
  other = spec;
  other.source = KeysSource{.keys = {"0"}};
  EXPECT_NE(CanonicalWork(other), CanonicalWork(spec));
  Spec numbers = other;
  std::get<KeysSource>(numbers.source).numeric = true;
  EXPECT_NE(CanonicalWork(numbers), CanonicalWork(other)) << "their requests can differ";
}

TEST(CanonicalWorkTest, ACommaIsWhatAFileHasThatSaysNothing) {
  Spec spec = Smallest().spec;
  FileSource file{"/ids.csv", FileFormat::kCsv, "id", ""};
  spec.source = file;
  Spec said = spec;
  file.delimiter = ",";
  said.source = file;
  EXPECT_EQ(CanonicalWork(said), CanonicalWork(spec));
  file.path = "/elsewhere/ids.csv";
  file.secret_headers = {{"Authorization", "Bearer ", "/token", ""}};
  file.tls = HttpTls{"/ca.pem", "", "", ""};
  said.source = file;
  EXPECT_EQ(CanonicalWork(said), CanonicalWork(spec)) << "what is in it is in the extents";
  file.delimiter = ";";
  said.source = file;
  EXPECT_NE(CanonicalWork(said), CanonicalWork(spec));
}

TEST(ToObjectTest, KeepsAFileAndWhatPlanningFoundInIt) {
  Backfill b = Smallest();
  b.spec.source = FileSource{"https://store/ids.csv",
                             FileFormat::kCsv,
                             "id",
                             ";",
                             {{"Authorization", "Basic ", "/login", "", SecretEncoding::kBase64}},
                             HttpTls{"/ca.pem", "/cert.pem", "/key.pem", ""}};
  b.status.plan = PlanStatus{.hash = "sha256:abc",
                             .shards = 1,
                             .records = 10,
                             .time = "2027-01-15T08:00:00Z",
                             .bad_records = 3,
                             .duplicate_keys = 2,
                             .duplicates_estimated = true};
  const auto read = FromObject(ToObject(b));
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->spec, b.spec);
  EXPECT_EQ(read->status.plan, b.status.plan);
}

TEST(ToYamlTest, ReadsAsPeopleWriteIt) {
  Backfill b = Smallest();
  b.annotations = {{kPausedAnnotation, "010"}};
  b.spec.source = KeysSource{.keys = {"a", "5", "no"}};
  b.spec.target.outcomes.skipped = {404, 410};
  b.status.phase = Phase::kPaused;
  b.status.conditions = {{"Ready", ConditionStatus::kTrue, "Paused", "", 1, ""}};
  EXPECT_EQ(ToYaml(b), R"(apiVersion: backfill.dev/v1alpha1
kind: Backfill
metadata:
  name: a
  namespace: shop
  annotations:
    backfill.dev/paused: "010"
spec:
  description: ""
  stakeholders: []
  source:
    keys:
    - a
    - "5"
    - "no"
  target:
    http:
      url: "http://orders/{{key}}"
      method: POST
      headers: {}
      body: ""
      timeout: "5s"
      outcomes:
        updated: []
        unchanged: []
        skipped: [404, 410]
        transient: []
        conflict: []
        permanent: []
  workers:
    replicas: 2
    concurrency: 16
    batchSize: 1
  dryRun: true
  performDisruptiveBackfill: ""
  paused: false
  throttle: {}
  failurePolicy:
    attempts: 5
    maxFailedRecords: 1000
    maxFailedPercent: "0.1"
    onExceeded: Pause
status:
  observedGeneration: -1
  phase: Paused
  conditions:
  - type: Ready
    status: "True"
    reason: Paused
    observedGeneration: 1
)");
}

}  // namespace
}  // namespace backfill::api
