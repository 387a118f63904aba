#include "operator/kube/client/api_client.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "operator/kube/client/reviews.h"
#include "tests/fakes/manual_clock.h"
#include "tests/operator/kube/client/answering_transport.h"

namespace backfill::kube {
namespace {

using nlohmann::json;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;
using testing::SizeIs;

constexpr Resource kJob{
    .type = {.group = "batch", .version = "v1", .plural = "jobs", .kind = "Job"},
    .decode = DecodeMetaOnly};
constexpr std::string_view kJobsPath = "/apis/batch/v1/namespaces/shop/jobs";

std::string Refusal(int code, std::string_view reason, std::string_view details = "{}") {
  return fmt::format(
      R"({{"kind":"Status","status":"Failure","message":"no","reason":"{}","details":{},"code":{}}})",
      reason, details, code);
}

std::string JobPage(std::initializer_list<std::string_view> names, std::string_view next = "",
                    std::string_view version = "9") {
  json list = {{"metadata", {{"resourceVersion", version}, {"continue", next}}},
               {"items", json::array()}};
  for (const auto name : names) list["items"].push_back({{"metadata", {{"name", name}}}});
  return list.dump();
}

class ApiClientTest : public testing::Test {
 protected:
  [[nodiscard]] CallLimits Within(Duration d = seconds(10)) const {
    return {.deadline = clock_.Steady() + d};
  }
  [[nodiscard]] const HttpRequest& Asked(std::size_t i = 0) const { return wire_.requests.at(i); }

  fakes::ManualClock clock_;
  AnsweringTransport wire_;
  RateLimiter limiter_{{}, clock_};
  std::vector<std::string> warnings_;
  ApiClient client_{
      wire_, &limiter_, {.on_warning = [this](std::string_view doing, std::string_view warning) {
        warnings_.push_back(fmt::format("{}: {}", doing, warning));
      }}};
};

TEST_F(ApiClientTest, Gets) {
  wire_.Answer(200, R"({"metadata":{"name":"a-run","uid":"u"}})");
  const auto job = client_.Get(kJob, {.ns = "shop", .name = "a-run"}, Within(seconds(3)));
  ASSERT_TRUE(job.ok()) << job.error().message;
  EXPECT_EQ((*job)->meta.uid, "u");
  EXPECT_EQ(Asked().method, HttpMethod::kGet);
  EXPECT_EQ(Asked().target, std::string(kJobsPath) + "/a-run");
  EXPECT_EQ(wire_.deadlines.at(0), clock_.Steady() + seconds(3));
}

TEST_F(ApiClientTest, Creates) {
  wire_.Answer(201, R"({"metadata":{"name":"a-run","uid":"u"}})");
  ASSERT_TRUE(client_.Create(kJob, "shop", R"({"kind":"Job"})", Within()).ok());
  EXPECT_EQ(Asked().method, HttpMethod::kPost);
  EXPECT_EQ(Asked().target, std::string(kJobsPath) + "?fieldManager=backfill-operator");
  EXPECT_EQ(Asked().content_type, "application/json");
  EXPECT_EQ(Asked().body, R"({"kind":"Job"})");
}

TEST_F(ApiClientTest, UpdatesAnObjectAndItsStatus) {
  wire_.Answer(200);
  wire_.Answer(200);
  ASSERT_TRUE(client_.Update(kJob, {.ns = "shop", .name = "a"}, "{}", Within()).ok());
  ASSERT_TRUE(client_.Update(kJob, {.ns = "shop", .name = "a"}, "{}", Within(), "status").ok());
  EXPECT_EQ(Asked(0).method, HttpMethod::kPut);
  EXPECT_EQ(Asked(0).target, std::string(kJobsPath) + "/a?fieldManager=backfill-operator");
  EXPECT_EQ(Asked(1).target, std::string(kJobsPath) + "/a/status?fieldManager=backfill-operator");
}

TEST_F(ApiClientTest, PatchesInThreeWays) {
  const ObjectKey key{.ns = "shop", .name = "a"};
  for (int i = 0; i < 4; ++i) wire_.Answer(200);
  ASSERT_TRUE(client_.Patch(kJob, key, "[]", {.type = PatchType::kJson}, Within()).ok());
  ASSERT_TRUE(
      client_.Patch(kJob, key, "{}", {.type = PatchType::kMerge, .subresource = "status"}, Within())
          .ok());
  ASSERT_TRUE(client_.Patch(kJob, key, "{}", {.type = PatchType::kApply}, Within()).ok());
  ASSERT_TRUE(
      client_.Patch(kJob, key, "{}", {.type = PatchType::kApply, .force = true}, Within()).ok());
  EXPECT_EQ(Asked(0).method, HttpMethod::kPatch);
  EXPECT_EQ(Asked(0).content_type, "application/json-patch+json");
  EXPECT_EQ(Asked(1).content_type, "application/merge-patch+json");
  EXPECT_EQ(Asked(1).target, std::string(kJobsPath) + "/a/status?fieldManager=backfill-operator");
  EXPECT_EQ(Asked(2).content_type, "application/apply-patch+yaml");
  EXPECT_THAT(Asked(2).target, testing::EndsWith("?fieldManager=backfill-operator&force=false"));
  EXPECT_THAT(Asked(3).target, testing::EndsWith("&force=true"));
}

TEST_F(ApiClientTest, DeletesOnlyWhatIsMeant) {
  wire_.Answer(200, R"({"kind":"Status","status":"Success"})");
  wire_.Answer(202);
  ASSERT_TRUE(
      client_
          .Delete(kJob, {.ns = "shop", .name = "a"},
                  {.propagation = Propagation::kForeground, .uid = "u", .resource_version = "7"},
                  Within())
          .ok());
  ASSERT_TRUE(client_.Delete(kJob, {.ns = "shop", .name = "a"}, {}, Within()).ok());
  EXPECT_EQ(Asked(0).method, HttpMethod::kDelete);
  EXPECT_EQ(
      json::parse(Asked(0).body),
      json::parse(R"({"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":"Foreground",
                            "preconditions":{"uid":"u","resourceVersion":"7"}})"));
  EXPECT_EQ(json::parse(Asked(1).body)["propagationPolicy"], "Background");
  EXPECT_FALSE(json::parse(Asked(1).body).contains("preconditions"));
}

TEST_F(ApiClientTest, R1_ListsOnePage) {
  wire_.Answer(200, JobPage({"a", "b"}, "more"));
  const auto page = client_.List(
      kJob, {.ns = "shop", .label_selector = "a=b,c in (d)", .resource_version = "0"}, Within());
  ASSERT_TRUE(page.ok());
  EXPECT_THAT(page->items, SizeIs(2));
  EXPECT_EQ(page->next, "more");
  EXPECT_EQ(Asked().target,
            std::string(kJobsPath) +
                "?limit=500&labelSelector=a%3Db%2Cc%20in%20%28d%29&resourceVersion=0");
  EXPECT_EQ(Asked().max_response_bytes, std::size_t{64} << 20);  // R33
}

TEST_F(ApiClientTest, R33_ListsAllPagesOfOneVersion) {
  wire_.Answer(200, JobPage({"a", "b"}, "t1", "9"));
  wire_.Answer(200, JobPage({"c", ""}, "t2", "12"));
  wire_.Answer(200, JobPage({"d"}, "", "13"));
  const auto all =
      client_.ListAll(kJob, {.ns = "shop", .resource_version = "5", .page = 2}, 5, Within());
  ASSERT_TRUE(all.ok()) << all.error().message;
  EXPECT_THAT(all->items, SizeIs(4));
  EXPECT_EQ(all->broken, 1u);
  EXPECT_THAT(all->problem, HasSubstr("metadata.name"));
  EXPECT_EQ(all->resource_version, "9");
  EXPECT_EQ(all->next, "");
  EXPECT_EQ(Asked(0).target, std::string(kJobsPath) + "?limit=2&resourceVersion=5");
  EXPECT_EQ(Asked(1).target, std::string(kJobsPath) + "?limit=2&continue=t1");
  EXPECT_EQ(Asked(2).target, std::string(kJobsPath) + "?limit=2&continue=t2");
}

TEST_F(ApiClientTest, R33_AListHasAnEnd) {
  for (int i = 0; i < 3; ++i) wire_.Answer(200, JobPage({"a", "b"}, "again"));
  const auto endless = client_.ListAll(kJob, {.ns = "shop"}, 5, Within());
  ASSERT_FALSE(endless.ok());
  EXPECT_EQ(endless.error().kind, ApiErrorKind::kTooLarge);
  EXPECT_THAT(wire_.requests, SizeIs(3));
  wire_.Answer(200, JobPage({"a", "b", "c"}));
  EXPECT_EQ(client_.ListAll(kJob, {}, 2, Within()).error().kind, ApiErrorKind::kTooLarge);
  // Of empty pages it has one, too.
  clock_.Advance(seconds(60));
  for (int i = 0; i < 40; ++i) wire_.Answer(200, JobPage({}, "again"));
  EXPECT_EQ(client_.ListAll(kJob, {}, 2, Within({})).error().kind, ApiErrorKind::kTooManyRequests);
}

TEST_F(ApiClientTest, R3_AnExpiredPageIsGone) {
  wire_.Answer(200, JobPage({"a"}, "t1"));
  wire_.Answer(410, Refusal(410, "Expired"));
  EXPECT_EQ(client_.ListAll(kJob, {.ns = "shop"}, 100, Within()).error().kind, ApiErrorKind::kGone);
  EXPECT_THAT(wire_.requests, SizeIs(2));
}

TEST_F(ApiClientTest, R25_ErrorsAreKindsAndNothingIsRepeated) {
  const std::pair<int, std::pair<std::string_view, ApiErrorKind>> cases[] = {
      {404, {"NotFound", ApiErrorKind::kNotFound}},
      {409, {"Conflict", ApiErrorKind::kConflict}},
      {409, {"AlreadyExists", ApiErrorKind::kAlreadyExists}},
      {422, {"Invalid", ApiErrorKind::kInvalid}},  // R26: also a JSON patch whose test fails
      {403, {"Forbidden", ApiErrorKind::kForbidden}},
      {500, {"InternalError", ApiErrorKind::kUnavailable}},
  };
  for (const auto& [code, means] : cases) {
    const std::size_t before = wire_.requests.size();
    wire_.Answer(code, Refusal(code, means.first));
    const auto refused = client_.Create(kJob, "shop", "{}", Within());
    EXPECT_EQ(ToString(refused.error().kind), ToString(means.second));
    EXPECT_EQ(refused.error().message,
              fmt::format("creating Job in shop: {} {}: no", code, means.first));
    EXPECT_EQ(wire_.requests.size(), before + 1);
  }
  wire_.Answer(Error{ErrorCode::kUnavailable, "lost"});
  const auto lost =
      client_.Patch(kJob, {.ns = "shop", .name = "a"}, "{}", {.subresource = "status"}, Within());
  EXPECT_EQ(lost.error().kind, ApiErrorKind::kUnavailable);
  EXPECT_EQ(lost.error().message, "patching Job/status shop/a: lost");
}

TEST_F(ApiClientTest, AnAnswerThatCannotBeReadIsSaid) {
  wire_.Answer(201, "<html>");
  wire_.Answer(200, R"({"metadata":{"name":7}})");
  wire_.Answer(200, "{}");
  EXPECT_EQ(client_.Create(kJob, "shop", "{}", Within()).error().kind, ApiErrorKind::kInternal);
  EXPECT_THAT(client_.Get(kJob, {.ns = "shop", .name = "a"}, Within()).error().message,
              HasSubstr("getting Job shop/a: the answer cannot be read: metadata.name"));
  EXPECT_EQ(client_.List(kJob, {}, Within()).error().kind, ApiErrorKind::kInternal);
}

TEST_F(ApiClientTest, R34_HoldsRequestsBack) {
  for (int i = 0; i < 40; ++i) wire_.Answer(200);
  int passed = 0;
  while (client_.Get(kJob, {.ns = "shop", .name = "a"}, Within({})).ok()) ++passed;
  EXPECT_EQ(passed, 30);
  EXPECT_THAT(wire_.requests, SizeIs(30));
  const auto held = client_.Get(kJob, {.ns = "shop", .name = "a"}, Within({}));
  EXPECT_EQ(held.error().kind, ApiErrorKind::kTooManyRequests);
  EXPECT_EQ(held.error().message,
            "getting Job shop/a: held back for 50 ms to spare the API server");
}

TEST_F(ApiClientTest, R34_ObeysRetryAfterForAllRequests) {
  wire_.Answer(429, Refusal(429, "TooManyRequests", R"({"retryAfterSeconds":7})"));
  EXPECT_EQ(client_.Create(kJob, "shop", "{}", Within()).error().retry_after, seconds(7));
  const auto held = client_.Get(kJob, {.ns = "shop", .name = "a"}, Within(seconds(1)));
  EXPECT_EQ(held.error().kind, ApiErrorKind::kTooManyRequests);
  EXPECT_EQ(held.error().retry_after, seconds(7));
  EXPECT_THAT(wire_.requests, SizeIs(1));
  clock_.Advance(seconds(7));
  wire_.Answer(200);
  EXPECT_TRUE(client_.Get(kJob, {.ns = "shop", .name = "a"}, Within()).ok());
  // A name that is taken says when to try another, which is nobody else's matter.
  wire_.Answer(409, Refusal(409, "AlreadyExists", R"({"retryAfterSeconds":7})"));
  wire_.Answer(200);
  EXPECT_FALSE(client_.Create(kJob, "shop", "{}", Within()).ok());
  EXPECT_TRUE(client_.Get(kJob, {.ns = "shop", .name = "a"}, Within()).ok());
}

TEST_F(ApiClientTest, R31_WarningsAreHandedOn) {
  wire_.Answer(HttpResponse{.status = 201, .body = "{}", .warnings = {"unknown field \"spec.x\""}});
  ASSERT_TRUE(client_.Create(kJob, "shop", "{}", Within()).ok());
  EXPECT_THAT(warnings_, ElementsAre("creating Job in shop: unknown field \"spec.x\""));
}

TEST_F(ApiClientTest, AsksWhatWeMayDo) {
  wire_.Answer(201,
               R"({"kind":"SelfSubjectAccessReview","status":{"allowed":true,"reason":"RBAC"}})");
  const auto answer = MayI(client_,
                           {.verb = "patch",
                            .group = "backfill.dev",
                            .resource = "backfills",
                            .subresource = "status",
                            .ns = "shop"},
                           Within());
  ASSERT_TRUE(answer.ok());
  EXPECT_TRUE(answer->allowed);
  EXPECT_EQ(answer->reason, "RBAC");
  EXPECT_EQ(Asked().target, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews");
  EXPECT_EQ(json::parse(Asked().body), json::parse(R"({
      "apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","spec":{"resourceAttributes":
      {"verb":"patch","group":"backfill.dev","resource":"backfills","subresource":"status","namespace":"shop"}}})"));
}

TEST_F(ApiClientTest, AsksWhatOthersMayDo) {
  const UserInfo user{.username = "ann", .groups = {"dev"}, .extra = {{"k", {"v"}}}};
  const std::pair<const char*, bool> answers[] = {
      {R"({"status":{"allowed":true}})", true},
      {R"({"status":{"allowed":false}})", false},
      {R"({"status":{"allowed":true,"denied":true}})", false},
      {R"({"status":{}})", false},
      {R"({})", false},
  };
  for (const auto& [body, allowed] : answers) {
    wire_.Answer(201, body);
    const auto answer =
        MayThey(client_, user, {.verb = "approve", .resource = "backfills"}, Within());
    ASSERT_TRUE(answer.ok());
    EXPECT_EQ(answer->allowed, allowed) << body;
  }
  const json spec = json::parse(Asked().body)["spec"];
  EXPECT_EQ(spec["user"], "ann");
  EXPECT_EQ(spec["extra"]["k"][0], "v");
  for (const char* body : {"", "[]", R"({"status":{"allowed":"yes"}})"}) {
    wire_.Answer(201, body);
    EXPECT_FALSE(MayThey(client_, user, {}, Within()).ok()) << body;
  }
}

TEST_F(ApiClientTest, ReviewsTokensAndKeepsThemToItself) {
  wire_.Answer(201, R"({"status":{"authenticated":true,"audiences":["backfill-operator"],"user":{
      "username":"system:serviceaccount:shop:default","uid":"u","groups":["system:serviceaccounts"],
      "extra":{"authentication.kubernetes.io/pod-name":["p"],"authentication.kubernetes.io/pod-uid":["pu"]}}}})");
  const auto answer = ReviewToken(client_, "s3cret", {"backfill-operator"}, Within());
  ASSERT_TRUE(answer.ok());
  EXPECT_TRUE(answer->authenticated);
  EXPECT_EQ(answer->user.username, "system:serviceaccount:shop:default");
  EXPECT_THAT(answer->audiences, ElementsAre("backfill-operator"));
  EXPECT_THAT(answer->user.extra,
              ElementsAre(Pair("authentication.kubernetes.io/pod-name", ElementsAre("p")),
                          Pair("authentication.kubernetes.io/pod-uid", ElementsAre("pu"))));
  EXPECT_EQ(json::parse(Asked().body)["spec"],
            json::parse(R"({"token":"s3cret","audiences":["backfill-operator"]})"));
  wire_.Answer(201, R"({"status":{"error":"invalid bearer token"}})");
  const auto refused = ReviewToken(client_, "s3cret", {"backfill-operator"}, Within());
  ASSERT_TRUE(refused.ok());
  EXPECT_FALSE(refused->authenticated);
  EXPECT_EQ(refused->error, "invalid bearer token");
  wire_.Answer(Error{ErrorCode::kUnavailable, "lost"});
  const auto lost = ReviewToken(client_, "s3cret", {"backfill-operator"}, Within());
  EXPECT_EQ(lost.error().message, "creating TokenReview: lost");
  EXPECT_THAT(lost.error().message, Not(HasSubstr("s3cret")));
}

}  // namespace
}  // namespace backfill::kube
