#include "operator/coordinator/workload.h"

#include "backfill/v1/workload.pb.h"

namespace backfill::coordinator {
namespace {

using namespace std::chrono_literals;

api::Backfill Backfill() {
  api::Backfill b;
  b.name = "reprice", b.ns = "shop", b.uid = "u1";
  b.spec.source = api::RangeSource{.start = 0, .end = 10};
  b.spec.workers.batch_size = 20;
  b.spec.target = {.url = "http://orders/{{key}}",
                   .method = "PUT",
                   .headers = {{"X-Team", "pay"}},
                   .body = "{{record|json}}",
                   .timeout = 2500ms,
                   .timeout_text = "",
                   .outcomes = {},
                   .dry_run = std::nullopt};
  b.spec.target.outcomes.unchanged = {304};
  b.spec.target.outcomes.skipped = {404, 410};
  return b;
}

TEST(Workload, ARunCarriesTheTarget) {
  const v1::Workload w = MakeWorkload(Backfill(), reconcile::Stage::kRun);
  EXPECT_EQ(w.backfill_name(), "reprice");
  EXPECT_EQ(w.backfill_namespace(), "shop");
  EXPECT_EQ(w.backfill_uid(), "u1");
  EXPECT_TRUE(w.source().has_range());
  EXPECT_EQ(w.batch_size(), 20u);
  ASSERT_EQ(w.mode_case(), v1::Workload::kRunHttp);
  const v1::HttpRequestTemplate& request = w.run_http().request();
  EXPECT_EQ(request.method(), "PUT");
  EXPECT_EQ(request.url(), "http://orders/{{key}}");
  EXPECT_EQ(request.body(), "{{record|json}}");
  EXPECT_EQ(request.timeout_ms(), 2500u);
  ASSERT_EQ(request.headers_size(), 1);
  EXPECT_EQ(request.headers(0).name(), "X-Team");
  EXPECT_EQ(request.headers(0).value(), "pay");
  EXPECT_THAT(w.run_http().outcomes().skipped(), ::testing::ElementsAre(404, 410));
  EXPECT_THAT(w.run_http().outcomes().unchanged(), ::testing::ElementsAre(304));
}

TEST(Workload, ADryRunCarriesTheTargetAsASampleOnly) {
  const v1::Workload w = MakeWorkload(Backfill(), reconcile::Stage::kDryRun);
  ASSERT_EQ(w.mode_case(), v1::Workload::kDryRunHttp);
  EXPECT_FALSE(w.has_run_http());
  EXPECT_EQ(w.dry_run_http().sample().url(), "http://orders/{{key}}");
  EXPECT_FALSE(w.dry_run_http().has_probe());
}

TEST(Workload, ADryRunsProbeIsTheDeclaredOne) {
  api::Backfill b = Backfill();
  b.spec.target.dry_run = api::HttpDryRun{.method = "POST",
                                          .url = "http://orders/check/{{key}}",
                                          .headers = {{"X-Validate", "only"}},
                                          .body = "{}",
                                          .side_effects = api::SideEffects::kNone};
  const v1::Workload w = MakeWorkload(b, reconcile::Stage::kDryRun);
  const v1::HttpProbe& probe = w.dry_run_http().probe();
  EXPECT_EQ(probe.request().method(), "POST");
  EXPECT_EQ(probe.request().url(), "http://orders/check/{{key}}");
  EXPECT_EQ(probe.request().timeout_ms(), 2500u);
  EXPECT_EQ(probe.request().headers(0).name(), "X-Validate");
  EXPECT_TRUE(probe.declared_without_side_effects());
  b.spec.target.dry_run->side_effects = api::SideEffects::kUnknown;
  EXPECT_FALSE(MakeWorkload(b, reconcile::Stage::kDryRun)
                   .dry_run_http()
                   .probe()
                   .declared_without_side_effects());
}

TEST(Workload, BothRequestsCarryTheConnection) {
  api::Backfill b = Backfill();
  b.spec.target.tls = api::HttpTls{"/ca.pem", "/cert.pem", "/key.pem", "orders"};
  b.spec.target.secret_headers = {
      {"Authorization", "Basic ", "/run/login", "", api::SecretEncoding::kBase64},
      {"X-Api-Key", "", "", "API_KEY", api::SecretEncoding::kNone}};
  b.spec.target.dry_run =
      api::HttpDryRun{.url = "https://orders/{{key}}", .headers = {}, .body = ""};
  const v1::Workload run = MakeWorkload(b, reconcile::Stage::kRun);
  const v1::Workload dry_run = MakeWorkload(b, reconcile::Stage::kDryRun);
  for (const v1::HttpRequestTemplate& request :
       {run.run_http().request(), dry_run.dry_run_http().sample(),
        dry_run.dry_run_http().probe().request()}) {
    EXPECT_EQ(request.tls().ca_file(), "/ca.pem");
    EXPECT_EQ(request.tls().cert_file(), "/cert.pem");
    EXPECT_EQ(request.tls().key_file(), "/key.pem");
    EXPECT_EQ(request.tls().server_name(), "orders");
    ASSERT_EQ(request.secret_headers_size(), 2);
    EXPECT_EQ(request.secret_headers(0).name(), "Authorization");
    EXPECT_EQ(request.secret_headers(0).prefix(), "Basic ");
    EXPECT_EQ(request.secret_headers(0).file(), "/run/login");
    EXPECT_TRUE(request.secret_headers(0).base64());
    EXPECT_EQ(request.secret_headers(1).env(), "API_KEY");
    EXPECT_FALSE(request.secret_headers(1).base64());
  }
}

TEST(Workload, KeysTravelInTheirOrder) {
  api::Backfill b = Backfill();
  b.spec.source = api::KeysSource{.keys = {"b", "a", "b"}};
  const v1::Workload w = MakeWorkload(b, reconcile::Stage::kRun);
  EXPECT_THAT(w.source().keys().keys(), ::testing::ElementsAre("b", "a", "b"));
  EXPECT_FALSE(w.source().keys().numeric());
}

TEST(Workload, KeysThatWereNumbersStayNumbers) {
  api::Backfill b = Backfill();
  b.spec.source = api::KeysSource{.keys = {"7"}, .numeric = true};
  EXPECT_TRUE(MakeWorkload(b, reconcile::Stage::kRun).source().keys().numeric());
}

TEST(Workload, AFileTravelsWithItsShapeAndTheFieldsThatAreNamed) {
  api::Backfill b = Backfill();
  b.spec.source = api::FileSource{"/data/x.ndjson", api::FileFormat::kNdJson, "id", ""};
  std::get<api::FileSource>(b.spec.source).secret_headers = {{"X-Key", "", "", "KEY"}};
  std::get<api::FileSource>(b.spec.source).tls = api::HttpTls{"/ca.pem", "/c.pem", "/k.pem", ""};
  b.spec.target.body = "{{fields.b}} {{fields.a}}";
  const rows::FileShape shape{.stored_bytes = 12, .columns = {}};
  const v1::Workload w = MakeWorkload(b, reconcile::Stage::kRun, &shape);
  const v1::FileSource& file = w.source().file();
  EXPECT_EQ(file.path(), "/data/x.ndjson");
  EXPECT_EQ(file.format(), v1::FILE_FORMAT_NDJSON);
  EXPECT_EQ(file.key(), "id");
  EXPECT_THAT(file.fields(), ::testing::ElementsAre("a", "b"));
  EXPECT_EQ(file.shape().stored_bytes(), 12U);
  ASSERT_EQ(file.secret_headers_size(), 1);
  EXPECT_EQ(file.secret_headers(0).env(), "KEY");
  EXPECT_EQ(file.tls().ca_file(), "/ca.pem");
  EXPECT_EQ(file.tls().key_file(), "/k.pem");
}

TEST(Workload, NamesPartitionsWhereSomethingIsSent) {
  api::Backfill b = Backfill();
  b.spec.throttle.partition_by = "{{fields.region}}";
  EXPECT_EQ(MakeWorkload(b, reconcile::Stage::kRun).partition_by(), "{{fields.region}}");
  b.spec.target.dry_run.reset();
  EXPECT_EQ(MakeWorkload(b, reconcile::Stage::kDryRun).partition_by(), "");
  b.spec.target.dry_run.emplace();
  EXPECT_EQ(MakeWorkload(b, reconcile::Stage::kDryRun).partition_by(), "{{fields.region}}");
  EXPECT_EQ(MakeWorkload(b, reconcile::Stage::kPlan).partition_by(), "");
}

TEST(Workload, OfAFileWithColumnsTheHeaderTravels) {
  api::Backfill b = Backfill();
  b.spec.source = api::FileSource{"/data/x.csv", api::FileFormat::kCsv, "id", ";"};
  const rows::FileShape shape{.stored_bytes = std::nullopt, .columns = {"id", "a"}};
  const v1::FileSource file = MakeWorkload(b, reconcile::Stage::kRun, &shape).source().file();
  EXPECT_EQ(file.format(), v1::FILE_FORMAT_CSV);
  EXPECT_EQ(file.delimiter(), ";");
  EXPECT_FALSE(file.shape().has_stored_bytes());
  EXPECT_THAT(file.shape().columns(), ::testing::ElementsAre("id", "a"));
}

}  // namespace
}  // namespace backfill::coordinator
