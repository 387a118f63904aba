#include "operator/api/decode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "operator/api/work_rules.h"
#include "operator/plan/plan.h"
#include "tests/operator/api/cases.h"

namespace backfill::api {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kSmallest[] = R"(apiVersion: backfill.dev/v1alpha1
kind: Backfill
metadata: {name: a}
spec:
  source: {range: {start: 0, end: 10}}
  target: {http: {url: "http://orders/{{key}}"}}
)";

constexpr char kEverything[] = R"(apiVersion: backfill.dev/v1alpha1
kind: Backfill
metadata:
  name: reprice-orders
  namespace: shop
  uid: u
  resourceVersion: "5"
  generation: 3
  creationTimestamp: "2026-01-01T00:00:00Z"
  labels: {team: payments}
  annotations: {backfill.dev/paused: "on call"}
spec:
  description: Recompute totals
  owner: {team: payments, contact: "#payments-oncall", runbook: "https://wiki/reprice"}
  stakeholders: [{name: orders, contact: "#orders", impact: "+20 % writes for 2 h"}, {name: legal}]
  source: {keys: [a, "5"]}
  target:
    http:
      url: "https://orders/bulk"
      method: PUT
      headers: {X-Run: "{{backfill.uid}}"}
      body: "{{records}}"
      timeout: 1m30s
      secretHeaders:
      - {name: Authorization, prefix: "Basic ", file: /run/login, encode: Base64}
      - {name: X-Api-Key, env: API_KEY}
      tls: {caFile: /ca.pem, certFile: /cert.pem, keyFile: /key.pem, serverName: orders}
      outcomes: {updated: [202], unchanged: [208], skipped: [404, 410], transient: [423], conflict: [424], permanent: [501]}
      dryRun: {method: POST, url: "http://orders/check", headers: {X-Dry: "1"}, body: "{{ndjson}}", sideEffects: None}
  sharding: {recordsPerShard: 100}
  workers:
    replicas: 3
    concurrency: 4
    batchSize: 5
    template: {spec: {containers: [{name: worker, image: w}]}, metadata: {labels: {team: "5"}}}
  dryRun: false
  performDisruptiveBackfill: reprice-orders
  paused: true
  throttle:
    mode: Observe
    maxRecordsPerSecond: 600
    minRecordsPerSecond: 2
    initialRecordsPerSecond: 20
    atFloor: Keep
    deadTime: 2m
    budgets:
    - name: p99
      preset: ReplicaLag
      prometheus: {address: "http://p:9090", query: q, freshnessQuery: f, credentials: c, timeout: 1s}
      max: "0.250"
      critical: "0.5"
      ideal: "0.01"
      target: "0.70"
      required: false
      enforce: false
      timing: {interval: 20s, window: 2m, scrapeInterval: 30s, delay: 1s, staleAfter: 2m}
      onMissing: Floor
      onNoTraffic: Zero
      reduce: Sum
    - {name: s, scrape: {url: "http://a/m", series: x, as: Quantile, quantile: "0.5", credentials: c, timeout: 2s}, min: "0.9"}
    - {name: h, http: {url: "http://a/j", pointer: /a, credentials: c, timeout: 3s}, max: "1"}
    - {name: w, workers: {signal: LatencyP99, window: 1m}, max: "1"}
    hold: {onCritical: Pause, confirmations: 3, duration: 20s, maxDuration: 1h, goodSamples: 4, resumeFactor: "0.5", pauseAfter: 6}
    missing: {landEvery: 40s, after: 6m}
    worker: {latencyBackoff: false, latencyHeadroom: "2.5", retryBudgetPercent: 0}
    grants: {ttl: 45s, refresh: 15s}
    override: {type: Pin, recordsPerSecond: 7, until: "2026-10-01T18:00:00Z", reason: incident, breakGlass: true}
  schedule:
    timeZone: Asia/Kathmandu
    windows: [{days: [Mon], from: "22:00", to: "06:00", maxRecordsPerSecond: 8}]
    outside: {action: Cap, maxRecordsPerSecond: 9}
    blackouts: [{from: "2026-11-27T00:00:00Z", to: "2026-11-30T00:00:00Z", reason: peak}]
  failurePolicy: {attempts: 7, maxFailedRecords: 8, maxFailedPercent: "9.5", onExceeded: Fail}
status: {observedGeneration: 3, phase: Running}
)";

TEST(DecodeTest, ReadsEveryField) {
  const Decoded decoded = DecodeBackfill(kEverything, "f.yaml");
  ASSERT_THAT(Said(decoded.problems), IsEmpty());
  ASSERT_TRUE(decoded.backfill.has_value());
  const Backfill& b = *decoded.backfill;
  EXPECT_EQ(b.name, "reprice-orders");
  EXPECT_EQ(b.ns, "shop");
  EXPECT_THAT(b.labels, ElementsAre(testing::Pair("team", "payments")));
  EXPECT_THAT(b.annotations, ElementsAre(testing::Pair(kPausedAnnotation, "on call")));
  Spec spec;
  spec.description = "Recompute totals";
  spec.owner = Owner{"payments", "#payments-oncall", "https://wiki/reprice"};
  spec.stakeholders = {{"orders", "#orders", "+20 % writes for 2 h"}, {"legal", "", ""}};
  spec.source = KeysSource{.keys = {"a", "5"}};
  spec.target.url = "https://orders/bulk";
  spec.target.method = "PUT";
  spec.target.headers = {{"X-Run", "{{backfill.uid}}"}};
  spec.target.body = "{{records}}";
  spec.target.timeout = 90s;
  spec.target.timeout_text = "1m30s";  // 90s is shorter
  spec.target.secret_headers = {
      {"Authorization", "Basic ", "/run/login", "", SecretEncoding::kBase64},
      {"X-Api-Key", "", "", "API_KEY", SecretEncoding::kNone}};
  spec.target.tls = HttpTls{"/ca.pem", "/cert.pem", "/key.pem", "orders"};
  spec.target.outcomes = {{202}, {208}, {404, 410}, {423}, {424}, {501}};
  spec.target.dry_run =
      HttpDryRun{"POST", "http://orders/check", {{"X-Dry", "1"}}, "{{ndjson}}", SideEffects::kNone};
  spec.sharding = Sharding{100};
  spec.workers = {
      3, 4, 5,
      R"({"metadata":{"labels":{"team":"5"}},"spec":{"containers":[{"image":"w","name":"worker"}]}})"};
  spec.dry_run = false;
  spec.perform_disruptive_backfill = "reprice-orders";
  spec.paused = true;
  Throttle& throttle = spec.throttle;
  throttle.mode = ThrottleMode::kObserve;
  throttle.max_records_per_second = 600;
  throttle.min_records_per_second = 2;
  throttle.initial_records_per_second = 20;
  throttle.at_floor = AtFloor::kKeep;
  throttle.dead_time = "2m";
  Budget p99;
  p99.name = "p99";
  p99.preset = Preset::kReplicaLag;
  p99.prometheus = PrometheusMetric{"http://p:9090", "q", "f", "c", "1s"};
  p99.max = "0.250";
  p99.critical = "0.5";
  p99.ideal = "0.01";
  p99.target = "0.70";
  p99.required = p99.enforce = false;
  p99.timing = {"20s", "2m", "30s", "1s", "2m"};
  p99.on_missing = OnMissing::kFloor;
  p99.on_no_traffic = OnNoTraffic::kZero;
  p99.reduce = Reduce::kSum;
  Budget scrape, http, workers;
  scrape.name = "s";
  scrape.scrape = ScrapeMetric{"http://a/m", "x", ScrapeAs::kQuantile, "0.5", "c", "2s"};
  scrape.min = "0.9";
  http.name = "h";
  http.http = HttpMetric{"http://a/j", "/a", "c", "3s"};
  http.max = "1";
  workers.name = "w";
  workers.workers = WorkersMetric{WorkerSignal::kLatencyP99, "1m"};
  workers.max = "1";
  throttle.budgets = {p99, scrape, http, workers};
  throttle.hold = {OnCritical::kPause, 3, "20s", "1h", 4, "0.5", 6};
  throttle.missing = {"40s", "6m"};
  throttle.worker = {false, "2.5", 0};
  throttle.grants = {"45s", "15s"};
  throttle.override = Override{OverrideType::kPin, 7, "2026-10-01T18:00:00Z", "incident", true};
  spec.schedule = Schedule{"Asia/Kathmandu",
                           {{{"Mon"}, "22:00", "06:00", 8}},
                           Outside{OutsideAction::kCap, 9},
                           {{"2026-11-27T00:00:00Z", "2026-11-30T00:00:00Z", "peak"}}};
  spec.failure_policy = {7, 8, "9.5", OnExceeded::kFail};
  EXPECT_EQ(b.spec, spec);
}

TEST(DecodeTest, NoAnnotationBreaksTheGlass) {
  const auto read = [](const std::string& glass) {
    return DecodeOverride(R"({"type": "Pin", "recordsPerSecond": 5, "until": )"
                          R"("2026-10-01T18:00:00Z", "reason": "x", "breakGlass": )" +
                          glass + "}");
  };
  EXPECT_TRUE(read("false").ok());
  ASSERT_FALSE(read("true").ok());
  EXPECT_EQ(read("true").error().code, ErrorCode::kInvalid);
  EXPECT_EQ(read("true").error().message, "breakGlass: is of spec.throttle.override alone");
}

TEST(DecodeTest, ReadsAnOverrideOfAnAnnotation) {
  const auto read = DecodeOverride(
      R"({"type": "Cap", "recordsPerSecond": 5, "until": "2026-10-01T18:00:00Z", "reason": "x"})");
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(*read, (Override{OverrideType::kCap, 5, "2026-10-01T18:00:00Z", "x"}));
  for (
      const char* text :
      {"", "5", "{}", R"({"type": "Cap", "recordsPerSecond": 5, "reason": "x"})",
       R"({"type": "Cap", "recordsPerSecond": 0, "until": "2026-10-01T18:00:00Z", "reason": "x"})",
       R"({"type": "Cap", "recordsPerSecond": 5, "until": "2026-02-30T18:00:00Z", "reason": "x"})",
       R"({"type": "Cap", "recordsPerSecond": 5, "until": "2026-10-01T18:00:00Z", "reason": "x", "breakGlass": true})"}) {
    const auto wrong = DecodeOverride(text);
    ASSERT_FALSE(wrong.ok()) << text;
    EXPECT_EQ(wrong.error().code, ErrorCode::kInvalid);
  }
}

TEST(DecodeTest, ReadsASourceOfFailures) {
  const std::string text = R"(apiVersion: backfill.dev/v1alpha1
kind: Backfill
metadata: {name: second}
spec:
  source: {failuresOf: {name: first, namespace: shop, classes: [timeout, transient]}}
  target: {http: {url: "http://orders/{{key}}"}}
)";
  const Decoded decoded = DecodeBackfill(text, "f.yaml");
  ASSERT_THAT(Said(decoded.problems), IsEmpty());
  const FailuresOfSource expected{"first", "shop", {"timeout", "transient"}};
  EXPECT_EQ(decoded.backfill->spec.source, Source{expected});
}

TEST(DecodeTest, WhatAStoreSetsIsDropped) {
  const Decoded decoded = DecodeBackfill(kEverything, "f.yaml");
  ASSERT_TRUE(decoded.backfill.has_value());
  EXPECT_EQ(decoded.backfill->uid, "");
  EXPECT_EQ(decoded.backfill->resource_version, "");
  EXPECT_EQ(decoded.backfill->generation, 0);
  EXPECT_EQ(decoded.backfill->creation_time, "");
  EXPECT_EQ(decoded.backfill->status, Status{});
}

// The CRD's defaults and the initial values of the types are the same, or tests that build a Spec
// by hand test another.
TEST(DecodeTest, DefaultsAreTheInitialValuesOfTheTypes) {
  const Decoded decoded = DecodeBackfill(kSmallest, "f.yaml");
  ASSERT_TRUE(decoded.backfill.has_value());
  Spec spec;
  spec.source = RangeSource{0, 10};
  spec.target.url = "http://orders/{{key}}";
  EXPECT_EQ(decoded.backfill->spec, spec);
  EXPECT_EQ(decoded.backfill->ns, "") << "whoever reads it knows the default";

  std::string text = kSmallest;
  text.replace(text.find("url:"), 4, "dryRun: {url: \"http://orders/{{key}}\"}, url:");
  text += "  throttle: {maxRecordsPerSecond: 5}\n";
  const Decoded with_dry_run = DecodeBackfill(text, "f.yaml");
  ASSERT_TRUE(with_dry_run.backfill.has_value());
  HttpDryRun dry_run;
  dry_run.url = "http://orders/{{key}}";
  EXPECT_EQ(with_dry_run.backfill->spec.target.dry_run, dry_run);
}

TEST(DecodeTest, ProblemsAreWrittenAsCompilersDo) {
  EXPECT_EQ(ToString(Problem{"f.yaml", 12, 9, "spec.x", "is wrong"}),
            "f.yaml:12:9: spec.x: is wrong");
  EXPECT_EQ(ToString(Problem{"f.yaml", 0, 0, "", "is wrong"}), "f.yaml: is wrong");
  EXPECT_EQ(ToString(Problem{"", 0, 0, "spec.x", "is wrong"}), "spec.x: is wrong");
  EXPECT_EQ(ToString(Problem{"", 2, 1, "", "is wrong"}), "line 2:1: is wrong");
}

TEST(DecodeTest, ProblemsComeInTheOrderOfLines) {
  const Decoded decoded = DecodeBackfill(
      "kind: Backfill\nspec:\n  workers: {replicas: 0}\n  target: {}\nmetadata: {name: A}\n", "f");
  ASSERT_GE(decoded.problems.size(), 4U);
  for (std::size_t i = 1; i < decoded.problems.size(); ++i) {
    EXPECT_LE(decoded.problems[i - 1].line, decoded.problems[i].line);
  }
}

std::string WithKeys(int keys) {
  std::string text = kSmallest;
  std::string list = "keys: [";
  for (int i = 0; i < keys; ++i) list += "k" + std::to_string(i) + ", ";
  text.replace(text.find("range: {start: 0, end: 10}"), 26, list + "]");
  return text;
}

TEST(DecodeTest, TakesTenThousandKeysAndNoMore) {
  const Decoded most = DecodeBackfill(WithKeys(10'000), "f");
  ASSERT_TRUE(most.backfill.has_value());
  EXPECT_EQ(std::get<KeysSource>(most.backfill->spec.source).keys.size(), 10'000U);
  EXPECT_THAT(Said(DecodeBackfill(WithKeys(10'001), "f").problems),
              ElementsAre("spec.source.keys: must have at most 10000 items, has 10001"));
}

TEST(DecodeTest, WarnsOfFilesThatAreTooLargeToApply) {
  std::string text = kSmallest;
  text += "#" + std::string(256 * 1024, 'x') + "\n";
  EXPECT_THAT(Said(DecodeBackfill(text, "f").warnings),
              ElementsAre(HasSubstr("larger than 256 KiB")));
}

TEST(DecodeTest, NothingThatIsSaidRepeatsAHeader) {
  for (const char* file : {"requests.txt", "values.txt"}) {
    for (const TextCase& one : ReadTextCases(file)) {
      EXPECT_EQ(one.said.find("hunter2"), std::string::npos) << one.name;
    }
  }
}

TEST(DecodeTest, TheLimitOfShardsIsThePlanners) {
  EXPECT_EQ(kMaxPlannedShards, Integer{plan::kMaxShards});
}

// Any file, however broken, is either a valid Backfill or explained.
TEST(DecodeTest, BrokenFilesAreExplained) {
  EXPECT_TRUE(rc::check("mutations", [] {
    std::string text = kEverything;
    const int changes = *rc::gen::inRange(1, 6);
    for (int i = 0; i < changes; ++i) {
      const auto at = *rc::gen::inRange<std::size_t>(0, text.size());
      const auto length = *rc::gen::inRange<std::size_t>(0, 12);
      const auto piece =
          *rc::gen::element<std::string>("", "\n", "  ", ": ", "{", "}", "[", "- ", "\"", "'", "{{",
                                         "0", "-", "null", "\xff", "&a ", "*a", "é");
      text.replace(at, length, piece);
    }
    const Decoded decoded = DecodeBackfill(text, "f.yaml");
    RC_ASSERT(decoded.backfill.has_value() == decoded.problems.empty());
    for (const Problem& problem : decoded.problems) {
      RC_ASSERT(!problem.message.empty());
      RC_ASSERT(problem.file == "f.yaml");
    }
  }));
}

TEST(DecodeTest, ReadsAFile) {
  const Decoded decoded = DecodeBackfill(R"(
apiVersion: backfill.dev/v1alpha1
kind: Backfill
metadata: {name: a}
spec:
  source: {file: {path: ids.csv, format: Csv, key: id, delimiter: ";"}}
  target: {http: {url: "http://orders/{{key}}?shop={{fields.shop}}"}}
)",
                                         "f.yaml");
  ASSERT_THAT(Said(decoded.problems), IsEmpty());
  EXPECT_EQ(decoded.backfill->spec.source,
            (Source{FileSource{"ids.csv", FileFormat::kCsv, "id", ";"}}));
}

}  // namespace
}  // namespace backfill::api
