#include "operator/kube/runtime/lease_api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace backfill::kube {
namespace {

using nlohmann::json;
using testing::HasSubstr;

// Answers as it was told, in order, and keeps what it was asked.
class ScriptedTransport final : public HttpTransport {
 public:
  Result<HttpResponse> Send(const HttpRequest& request, Time, std::stop_token) override {
    requests.push_back(request);
    if (answers.empty()) return Error{ErrorCode::kUnavailable, "connection refused"};
    HttpResponse response = answers.front();
    answers.pop_front();
    return response;
  }
  Result<HttpResponse> Stream(const HttpRequest&, const StreamLimits&, std::stop_token,
                              const std::function<bool(std::string_view)>&) override {
    return Error{ErrorCode::kInternal, "no stream"};
  }
  void Answer(int status, std::string body) {
    answers.push_back(
        {.status = status, .body = std::move(body), .retry_after = {}, .warnings = {}});
  }
  std::deque<HttpResponse> answers;
  std::vector<HttpRequest> requests;
};

constexpr const char* kStored = R"({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
  "metadata": {"name": "backfill-operator", "namespace": "ops", "uid": "u1", "resourceVersion": "41",
               "labels": {"team": "payments"}},
  "spec": {"holderIdentity": "other_1", "leaseDurationSeconds": 15, "leaseTransitions": 3,
           "acquireTime": "2026-11-28T00:47:33.000125Z", "renewTime": "2026-11-28T00:47:34Z",
           "strategy": "OldestEmulationVersion"}})";

class HttpLeaseApiTest : public testing::Test {
 protected:
  ScriptedTransport transport_;
  HttpLeaseApi api_{transport_, "ops", "backfill-operator"};
};

TEST_F(HttpLeaseApiTest, ReadsALease) {
  transport_.Answer(200, kStored);
  const auto lease = api_.Get({}, {});
  ASSERT_TRUE(lease.ok()) << lease.error().message;
  EXPECT_EQ(transport_.requests[0].method, HttpMethod::kGet);
  EXPECT_EQ(transport_.requests[0].target,
            "/apis/coordination.k8s.io/v1/namespaces/ops/leases/backfill-operator");
  EXPECT_EQ(lease->version, "41");
  EXPECT_EQ(lease->record.holder, "other_1");
  EXPECT_EQ(lease->record.duration_seconds, 15);
  EXPECT_EQ(lease->record.transitions, 3);
  EXPECT_EQ(FormatMicroTime(lease->record.acquired), "2026-11-28T00:47:33.000125Z");
  EXPECT_EQ(FormatMicroTime(lease->record.renewed), "2026-11-28T00:47:34.000000Z");
}

TEST_F(HttpLeaseApiTest, ALeaseWithoutSpecIsHeldByNobody) {
  transport_.Answer(200, R"({"kind": "Lease", "metadata": {"resourceVersion": "1"}})");
  const auto lease = api_.Get({}, {});
  ASSERT_TRUE(lease.ok());
  EXPECT_EQ(lease->record, LeaseRecord{});
}

TEST_F(HttpLeaseApiTest, AWriteKeepsWhatOthersPutThereAndNamesTheVersion) {
  transport_.Answer(200, kStored);
  const auto base = api_.Get({}, {});
  transport_.Answer(200, kStored);
  LeaseRecord record{.holder = "me_2", .duration_seconds = 5};
  record.transitions = 4;
  record.acquired = record.renewed = WallTime(std::chrono::microseconds(1'800'000'000'000'007));
  ASSERT_TRUE(api_.Update(*base, record, {}, {}).ok());
  const HttpRequest& sent = transport_.requests[1];
  EXPECT_EQ(sent.method, HttpMethod::kPut);
  EXPECT_EQ(sent.content_type, "application/json");
  json expected = json::parse(kStored);
  expected["spec"]["holderIdentity"] = "me_2";
  expected["spec"]["leaseDurationSeconds"] = 5;
  expected["spec"]["leaseTransitions"] = 4;
  expected["spec"]["acquireTime"] = expected["spec"]["renewTime"] = "2027-01-15T08:00:00.000007Z";
  EXPECT_EQ(json::parse(sent.body), expected);
}

TEST_F(HttpLeaseApiTest, CreatesALease) {
  transport_.Answer(201, kStored);
  ASSERT_TRUE(api_.Create({.holder = "", .duration_seconds = 5}, {}, {}).ok());
  const HttpRequest& sent = transport_.requests[0];
  EXPECT_EQ(sent.method, HttpMethod::kPost);
  EXPECT_EQ(sent.target, "/apis/coordination.k8s.io/v1/namespaces/ops/leases");
  const json body = json::parse(sent.body);
  EXPECT_EQ(body["metadata"], json({{"name", "backfill-operator"}, {"namespace", "ops"}}));
  EXPECT_EQ(body["spec"]["holderIdentity"], "");
}

TEST_F(HttpLeaseApiTest, SaysWhatWasRefused) {
  transport_.Answer(409, R"({"kind": "Status", "code": 409, "reason": "Conflict"})");
  const auto conflict = api_.Update({.record = {}, .version = "1", .object = "{}"}, {}, {}, {});
  ASSERT_FALSE(conflict.ok());
  EXPECT_EQ(conflict.error().kind, ApiErrorKind::kConflict);
  EXPECT_THAT(conflict.error().message, HasSubstr("writing the Lease ops/backfill-operator"));
  transport_.Answer(404, R"({"kind": "Status", "code": 404, "reason": "NotFound"})");
  EXPECT_EQ(api_.Get({}, {}).error().kind, ApiErrorKind::kNotFound);
  EXPECT_EQ(api_.Get({}, {}).error().kind, ApiErrorKind::kUnavailable);
}

TEST_F(HttpLeaseApiTest, WhatIsNoLeaseIsAnError) {
  for (const char* body :
       {"", "{", "[]", "null", "{}", R"({"kind": "Lease"})",
        R"({"kind": "Pod", "metadata": {"resourceVersion": "1"}})",
        R"({"kind": "Lease", "metadata": {"resourceVersion": 1}})",
        R"({"kind": "Lease", "metadata": {"resourceVersion": "1"}, "spec": {"holderIdentity": 7}})",
        R"({"kind": "Lease", "metadata": {"resourceVersion": "1"},
            "spec": {"leaseDurationSeconds": 1.5}})",
        R"({"kind": "Lease", "metadata": {"resourceVersion": "1"}, "spec": []})"}) {
    SCOPED_TRACE(body);
    transport_.Answer(200, body);
    const auto lease = api_.Get({}, {});
    ASSERT_FALSE(lease.ok());
    EXPECT_EQ(lease.error().kind, ApiErrorKind::kInternal);
  }
}

TEST_F(HttpLeaseApiTest, OddTimesAreNoError) {
  for (const char* time :
       {"", "yesterday", ".", "2026-11-28T00:47:33.12Z", "2026-11-28T00:47:33."}) {
    SCOPED_TRACE(time);
    json object = json::parse(kStored);
    object["spec"]["renewTime"] = time;
    transport_.Answer(200, object.dump());
    EXPECT_TRUE(api_.Get({}, {}).ok());
  }
}

}  // namespace
}  // namespace backfill::kube
