// What a kube-apiserver does, as far as the product depends on it. The same assertions hold for the
// fake and for a real one: where they differ, the fake is wrong. Tests that need a lever are in
// fake_api_server_test.cc.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/operator/kube/api_server_contract.h"

namespace backfill::kube {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST_P(ApiServerContractTest, CreateStampsWhatTheServerOwns) {
  const Reply made = Create("configmaps", Named("a"));
  EXPECT_EQ(made.status, 201);
  EXPECT_EQ(made.Text("/kind"), "ConfigMap");
  EXPECT_EQ(made.Text("/metadata/namespace"), ns_);
  EXPECT_EQ(made.Text("/metadata/uid").size(), 36U);
  EXPECT_NE(made.Text("/metadata/resourceVersion"), "");
  EXPECT_TRUE(ParseWallTime(made.Text("/metadata/creationTimestamp")).has_value());
  EXPECT_FALSE(made.Has("/metadata/generation"));
  EXPECT_EQ(Create("backfills", Backfill("a")).Text("/metadata/generation"), "1");
}

TEST_P(ApiServerContractTest, GenerateNameAppendsToThePrefix) {
  const Reply made = Create("configmaps", {{"metadata", {{"generateName", "page-"}}}});
  ASSERT_EQ(made.status, 201);
  EXPECT_EQ(made.Text("/metadata/name").size(), std::string("page-").size() + 5);
  EXPECT_EQ(made.Text("/metadata/name").find("page-"), 0U);
  EXPECT_EQ(Create("configmaps", {{"metadata", nlohmann::json::object()}}).status, 422);
}

// R23
TEST_P(ApiServerContractTest, AlreadyExistsIs409WithThatReason) {
  Create("backfills", Backfill("a"));
  const Reply again = Create("backfills", Backfill("a"));
  EXPECT_EQ(again.status, 409);
  EXPECT_EQ(again.Text("/reason"), "AlreadyExists");
  EXPECT_EQ(again.Text("/message"), "backfills.backfill.dev \"a\" already exists");
  EXPECT_EQ(again.Text("/details/name"), "a");
  EXPECT_EQ(again.Text("/details/kind"), "backfills");
  EXPECT_EQ(again.Text("/details/group"), "backfill.dev");
}

TEST_P(ApiServerContractTest, NothingIsCreatedInANamespaceThatIsNotThere) {
  const Reply made = Post("/api/v1/namespaces/no-such-namespace/configmaps", Named("a"));
  EXPECT_EQ(made.status, 404);
  EXPECT_EQ(made.Text("/message"), "namespaces \"no-such-namespace\" not found");
}

TEST_P(ApiServerContractTest, CreateRefusesAVersion) {
  nlohmann::json object = Named("a");
  object["metadata"]["resourceVersion"] = "5";
  EXPECT_THAT(Create("configmaps", object).Text("/message"),
              HasSubstr("resourceVersion should not be set on objects to be created"));
}

TEST_P(ApiServerContractTest, BadNamesAndLabelsAreInvalidAndSayWhere) {
  const Reply name = Create("configmaps", Named("Not_A_Name"));
  EXPECT_EQ(name.status, 422);
  EXPECT_EQ(name.Text("/reason"), "Invalid");
  EXPECT_EQ(name.Text("/details/kind"), "ConfigMap");
  EXPECT_EQ(name.Text("/details/causes/0/reason"), "FieldValueInvalid");
  EXPECT_EQ(name.Text("/details/causes/0/field"), "metadata.name");
  nlohmann::json object = Named("a");
  object["metadata"]["labels"] = {{"team", "not a label"}};
  EXPECT_EQ(Create("configmaps", object).Text("/details/causes/0/field"), "metadata.labels");
  object["metadata"]["labels"] = {{"", "x"}};
  EXPECT_EQ(Create("configmaps", object).status, 422);
  object["metadata"].erase("labels");
  object["metadata"]["annotations"] = {{"two/slashes/here", "x"}};
  EXPECT_EQ(Create("configmaps", object).Text("/details/causes/0/field"), "metadata.annotations");
}

TEST_P(ApiServerContractTest, BodiesThatMakeNoSenseAreBadRequests) {
  EXPECT_EQ(Send(HttpMethod::kPost, Path("configmaps"), "{", kJson).status, 400);
  EXPECT_EQ(Create("configmaps", {{"kind", "Secret"}, {"apiVersion", "v1"}}).status, 400);
  EXPECT_EQ(Create("configmaps", {{"kind", "ConfigMap"}, {"apiVersion", "v2"}}).status, 400);
  EXPECT_EQ(Create("configmaps", {{"metadata", 7}}).status, 400);
  EXPECT_EQ(Create("backfills", Named("a")).status, 400);  // a custom object says what it is
  EXPECT_EQ(Send(HttpMethod::kPost, Path("configmaps"), "x=y", "text/plain").status, 415);
  nlohmann::json object = Named("a");
  object["metadata"]["namespace"] = "default";
  EXPECT_EQ(Create("configmaps", object).status, 400);
  Create("configmaps", Named("a"));
  EXPECT_EQ(Put("configmaps", "a", Named("b")).status, 400);
}

TEST_P(ApiServerContractTest, WhatIsNotThereIs404) {
  const Reply core = Get("configmaps", "none");
  EXPECT_EQ(core.status, 404);
  EXPECT_EQ(core.Text("/reason"), "NotFound");
  EXPECT_EQ(core.Text("/message"), "configmaps \"none\" not found");
  const Reply custom = Get("backfills", "none");
  EXPECT_EQ(custom.Text("/message"), "backfills.backfill.dev \"none\" not found");
  EXPECT_EQ(custom.Text("/details/group"), "backfill.dev");
  const Reply nothing = Send(HttpMethod::kGet, "/apis/backfill.dev/v1alpha1/nothings");
  EXPECT_EQ(nothing.status, 404);
  EXPECT_TRUE(nothing.body.is_discarded());  // no Status
  EXPECT_EQ(Put("configmaps", "none", Named("none")).status, 404);
  EXPECT_EQ(Merge("configmaps", "none", {{"data", {{"a", "b"}}}}).status, 404);
  EXPECT_EQ(Delete("configmaps", "none").status, 404);
}

// R25
TEST_P(ApiServerContractTest, AnOldVersionIsAConflict) {
  Reply object = Create("backfills", Backfill("a"));
  const nlohmann::json old = object.body;
  object.body["spec"]["paused"] = true;
  EXPECT_EQ(Put("backfills", "a", object.body).status, 200);
  const Reply late = Put("backfills", "a", old);
  EXPECT_EQ(late.status, 409);
  EXPECT_EQ(late.Text("/reason"), "Conflict");
  EXPECT_THAT(late.Text("/message"), HasSubstr("the object has been modified"));
  EXPECT_EQ(Get("backfills", "a").Text("/spec/paused"), "true");
}

TEST_P(ApiServerContractTest, WithoutAVersionAConfigMapIsReplacedAndACustomObjectIsNot) {
  Create("configmaps", Named("a"));
  nlohmann::json object = Named("a");
  object["data"] = {{"k", "v"}};
  EXPECT_EQ(Put("configmaps", "a", object).status, 200);
  Create("backfills", Backfill("a"));
  const Reply refused = Put("backfills", "a", Backfill("a"));
  EXPECT_EQ(refused.status, 422);
  EXPECT_EQ(refused.Text("/details/causes/0/field"), "metadata.resourceVersion");
}

// Leader election: who writes a Lease that somebody has deleted makes another one, unless the uid
// is given, too.
TEST_P(ApiServerContractTest, ALeaseIsMadeByAPutWhateverVersionThatNames) {
  nlohmann::json lease = Named("a");
  lease["metadata"]["resourceVersion"] = "5";
  lease["metadata"]["uid"] = kOtherUid;
  EXPECT_EQ(Put("leases", "a", lease).status, 409);
  lease["metadata"].erase("uid");
  const Reply made = Put("leases", "a", lease);
  EXPECT_EQ(made.status, 201);
  EXPECT_EQ(Put("leases", "a", lease).status, 409);
  lease["metadata"].erase("resourceVersion");
  EXPECT_EQ(Put("leases", "a", lease).status, 422);
}

TEST_P(ApiServerContractTest, OwnersHaveUidsAndAtMostOneOfThemControls) {
  Create("configmaps", Named("a"));
  const auto owned = [&](nlohmann::json owners) {
    return Merge("configmaps", "a", {{"metadata", {{"ownerReferences", std::move(owners)}}}});
  };
  nlohmann::json owner{{"apiVersion", "v1"}, {"kind", "ConfigMap"}, {"name", "o"}};
  const Reply refused = owned(nlohmann::json::array({owner}));
  EXPECT_EQ(refused.status, 422);
  EXPECT_EQ(refused.Text("/details/causes/0/field"), "metadata.ownerReferences.uid");
  owner["uid"] = kOtherUid;
  owner["controller"] = true;
  nlohmann::json another = owner;
  another["uid"] = "00000000-0000-4000-8000-000000000001";
  EXPECT_EQ(owned(nlohmann::json::array({owner, another})).status, 422);
}

TEST_P(ApiServerContractTest, AnotherUidIsAConflict) {
  Reply object = Create("configmaps", Named("a"));
  object.body["metadata"]["uid"] = kOtherUid;
  object.body["metadata"].erase("resourceVersion");
  const Reply refused = Put("configmaps", "a", object.body);
  EXPECT_EQ(refused.status, 409);
  EXPECT_THAT(refused.Text("/message"), HasSubstr("Precondition failed: UID in precondition"));
}

// R28
TEST_P(ApiServerContractTest, AWriteThatChangesNothingKeepsTheVersion) {
  const Reply made = Create("backfills", Backfill("a"));
  // The first replacement may still move fields from one owner to another (managedFields).
  const Reply put = Put("backfills", "a", made.body);
  const std::string version = put.Text("/metadata/resourceVersion");
  EXPECT_EQ(Put("backfills", "a", put.body).Text("/metadata/resourceVersion"), version);
  EXPECT_EQ(
      Merge("backfills", "a", {{"spec", {{"dryRun", true}}}}).Text("/metadata/resourceVersion"),
      version);
}

TEST_P(ApiServerContractTest, GenerationCountsChangesOfTheSpecOnly) {
  Create("backfills", Backfill("a"));
  EXPECT_EQ(Merge("backfills", "a", {{"metadata", {{"labels", {{"a", "b"}}}}}})
                .Text("/metadata/generation"),
            "1");
  EXPECT_EQ(MergeStatus("a", {{"status", {{"phase", "Planning"}}}}).Text("/metadata/generation"),
            "1");
  EXPECT_EQ(Merge("backfills", "a", {{"spec", {{"paused", true}}}}).Text("/metadata/generation"),
            "2");
  Create("backfillledgers", Ledger("a"));
  EXPECT_EQ(Merge("backfillledgers", "a", {{"seq", 2}}).Text("/metadata/generation"), "2");
}

TEST_P(ApiServerContractTest, StatusAndTheRestDoNotTouchEachOther) {
  nlohmann::json object = Backfill("a");
  object["status"] = {{"phase", "Running"}};
  Reply made = Create("backfills", object);
  EXPECT_EQ(made.Text("/status/phase"), "");
  EXPECT_EQ(made.Text("/status/observedGeneration"), "-1");  // the default of the schema
  nlohmann::json patch{{"status", {{"phase", "Planning"}}},
                       {"spec", {{"paused", true}}},
                       {"metadata", {{"labels", {{"a", "b"}}}}}};
  const Reply status = MergeStatus("a", patch);
  EXPECT_EQ(status.Text("/status/phase"), "Planning");
  EXPECT_NE(status.Text("/spec/paused"), "true");
  EXPECT_FALSE(status.Has("/metadata/labels"));
  made.body = status.body;
  made.body["status"]["phase"] = "Completed";
  EXPECT_EQ(Put("backfills", "a", made.body).Text("/status/phase"), "Planning");
  EXPECT_EQ(Merge("backfills", "a", {{"status", {{"phase", "Completed"}}}}).Text("/status/phase"),
            "Planning");
}

// R27
TEST_P(ApiServerContractTest, R27_AStatusPatchWithAnOldVersionIsAConflict) {
  const std::string old = Create("backfills", Backfill("a")).Text("/metadata/resourceVersion");
  Merge("backfills", "a", {{"spec", {{"paused", true}}}});
  const Reply late = MergeStatus(
      "a", {{"metadata", {{"resourceVersion", old}}}, {"status", {{"phase", "Planning"}}}});
  EXPECT_EQ(late.status, 409);
  EXPECT_EQ(late.Text("/reason"), "Conflict");
}

TEST_P(ApiServerContractTest, R27_AWrongUidAloneIsTakenWithoutAWord) {
  Create("backfills", Backfill("a"));
  EXPECT_EQ(
      MergeStatus("a", {{"metadata", {{"uid", kOtherUid}}}, {"status", {{"phase", "Planning"}}}})
          .status,
      200);
}

// R26
TEST_P(ApiServerContractTest, R26_AFailedTestOfAJsonPatchIs422) {
  Create("backfills", Backfill("a"));
  const nlohmann::json add = nlohmann::json::parse(
      R"([{"op":"test","path":"/metadata/finalizers","value":["x/y"]},
          {"op":"add","path":"/metadata/finalizers/-","value":"backfill.dev/drain-workers"}])");
  const Reply refused = JsonPatch("backfills", "a", add);
  EXPECT_EQ(refused.status, 422);
  EXPECT_EQ(refused.Text("/reason"), "Invalid");
  Merge("backfills", "a", {{"metadata", {{"finalizers", {"x/y"}}}}});
  const Reply done = JsonPatch("backfills", "a", add);
  EXPECT_EQ(done.status, 200);
  EXPECT_EQ(done.body["metadata"]["finalizers"],
            nlohmann::json({"x/y", "backfill.dev/drain-workers"}));
  EXPECT_EQ(JsonPatch("backfills", "a",
                      nlohmann::json::parse(R"([{"op":"remove","path":"/metadata/labels"}])"))
                .status,
            422);
  EXPECT_EQ(JsonPatch("backfills", "a", {{"op", "add"}}).status, 400);
}

TEST_P(ApiServerContractTest, AJsonPatchThatSetsAnOldVersionIsAConflict) {
  const std::string old = Create("backfills", Backfill("a")).Text("/metadata/resourceVersion");
  const auto patch = [](const std::string& version) {
    return nlohmann::json::array(
        {{{"op", "add"}, {"path", "/metadata/resourceVersion"}, {"value", version}},
         {{"op", "add"}, {"path", "/status"}, {"value", {{"phase", "Planning"}}}}});
  };
  const Reply done = JsonPatch("backfills", "a", patch(old), "status");
  EXPECT_EQ(done.status, 200);
  EXPECT_EQ(done.Text("/status/phase"), "Planning");
  EXPECT_EQ(JsonPatch("backfills", "a", patch(old), "status").status, 409);
}

TEST_P(ApiServerContractTest, AStrategicMergeIsForBuiltInKindsOnly) {
  Create("backfills", Backfill("a"));
  EXPECT_EQ(Send(HttpMethod::kPatch, Path("backfills", "a"), "{}",
                 "application/strategic-merge-patch+json")
                .status,
            415);
}

TEST_P(ApiServerContractTest, APatchCannotRenameOrReplace) {
  Create("configmaps", Named("a"));
  EXPECT_EQ(Merge("configmaps", "a", {{"metadata", {{"name", "b"}}}}).status, 400);
  EXPECT_EQ(Merge("configmaps", "a", {{"metadata", 7}}).status, 422);
  EXPECT_EQ(Merge("configmaps", "a", {{"metadata", {{"labels", 7}}}}).status, 422);
  Create("backfillledgers", Ledger("a"));
  EXPECT_EQ(Merge("backfillledgers", "a", {{"kind", "Zork"}}).status, 422);
  EXPECT_THAT(Merge("configmaps", "a", {{"metadata", {{"uid", kOtherUid}}}}).status,
              AnyOf(409, 422));
}

TEST_P(ApiServerContractTest, DeleteSaysWhatIsGone) {
  const Reply made = Create("backfills", Backfill("a"));
  const Reply other = Delete("backfills", "a", {{"preconditions", {{"uid", kOtherUid}}}});
  EXPECT_EQ(other.status, 409);
  EXPECT_EQ(other.Text("/reason"), "Conflict");
  EXPECT_EQ(other.Text("/details/kind"), "Backfill");
  EXPECT_THAT(other.Text("/message"), HasSubstr("does not match the UID in record"));
  const Reply gone = Delete("backfills", "a",
                            {{"preconditions", {{"uid", made.Text("/metadata/uid")}}},
                             {"propagationPolicy", "Background"}});
  EXPECT_EQ(gone.status, 200);
  EXPECT_EQ(gone.Text("/kind"), "Status");
  EXPECT_EQ(gone.Text("/status"), "Success");
  EXPECT_EQ(gone.Text("/details/uid"), made.Text("/metadata/uid"));
  EXPECT_EQ(Get("backfills", "a").status, 404);
}

TEST_P(ApiServerContractTest, FinalizersKeepAnObjectUntilTheLastIsGone) {
  nlohmann::json object = Backfill("a");
  object["metadata"]["finalizers"] = {"backfill.dev/drain-workers"};
  Create("backfills", object);
  const Reply going = Delete("backfills", "a");
  EXPECT_EQ(going.status, 200);
  EXPECT_EQ(going.Text("/kind"), "Backfill");
  EXPECT_NE(going.Text("/metadata/deletionTimestamp"), "");
  EXPECT_EQ(going.Text("/metadata/generation"), "2");
  EXPECT_EQ(Delete("backfills", "a").Text("/metadata/resourceVersion"),
            going.Text("/metadata/resourceVersion"));
  const Reply added = Merge(
      "backfills", "a",
      {{"metadata", {{"finalizers", {"backfill.dev/drain-workers", "backfill.dev/another"}}}}});
  EXPECT_EQ(added.status, 422);
  EXPECT_EQ(added.Text("/details/causes/0/field"), "metadata.finalizers");
  EXPECT_EQ(MergeStatus("a", {{"status", {{"phase", "Planning"}}}}).status, 200);
  EXPECT_EQ(Merge("backfills", "a", {{"metadata", {{"finalizers", nullptr}}}}).status, 200);
  EXPECT_EQ(Get("backfills", "a").status, 404);
}

TEST_P(ApiServerContractTest, ForegroundAndOrphanLeaveAFinalizerForTheCollector) {
  Create("configmaps", Named("a"));
  Create("configmaps", Named("b"));
  const Reply foreground = Delete("configmaps", "a", {{"propagationPolicy", "Foreground"}});
  EXPECT_EQ(foreground.body["metadata"]["finalizers"], nlohmann::json({"foregroundDeletion"}));
  const Reply orphan = Delete("configmaps", "b", {{"propagationPolicy", "Orphan"}});
  EXPECT_EQ(orphan.body["metadata"]["finalizers"], nlohmann::json({"orphan"}));
  Create("configmaps", Named("c"));
  EXPECT_EQ(Delete("configmaps", "c", {{"propagationPolicy", "Sideways"}}).status, 422);
}

TEST_P(ApiServerContractTest, AJobLeavesItsPodsUnlessToldOtherwise) {
  ASSERT_EQ(Create("jobs", Job("a")).status, 201);
  EXPECT_EQ(Delete("jobs", "a").body["metadata"]["finalizers"], nlohmann::json({"orphan"}));
  ASSERT_EQ(Create("jobs", Job("b")).status, 201);
  EXPECT_EQ(Delete("jobs", "b", {{"propagationPolicy", "Background"}}).Text("/status"), "Success");
}

TEST_P(ApiServerContractTest, DeleteCollectionTakesWhatIsSelected) {
  Create("configmaps", Labelled("a", "x"));
  Create("configmaps", Labelled("b", "y"));
  EXPECT_EQ(Send(HttpMethod::kDelete, Path("configmaps") + "?labelSelector=team%3Dx").status, 200);
  EXPECT_THAT(NamesIn(List("configmaps", "labelSelector=team")), ElementsAre("b"));
}

// R31
TEST_P(ApiServerContractTest, R31_UnknownFieldsVanishWithAWarning) {
  nlohmann::json object = Backfill("a");
  object["spec"]["colour"] = "blue";
  const Reply made = Create("backfills", object);
  EXPECT_EQ(made.status, 201);
  EXPECT_FALSE(made.Has("/spec/colour"));
  EXPECT_THAT(made.warnings, ElementsAre("unknown field \"spec.colour\""));
  object["metadata"]["name"] = "b";
  const Reply strict = Post(Path("backfills") + "?fieldValidation=Strict", object);
  EXPECT_EQ(strict.status, 400);
  EXPECT_THAT(strict.Text("/message"), HasSubstr("unknown field \"spec.colour\""));
  EXPECT_THAT(Post(Path("backfills") + "?fieldValidation=Ignore", object).warnings, IsEmpty());
}

TEST_P(ApiServerContractTest, DefaultsAreFilledIn) {
  const Reply made = Create("backfills", Backfill("a"));
  EXPECT_EQ(made.Text("/spec/dryRun"), "true");
  EXPECT_EQ(made.Text("/spec/performDisruptiveBackfill"), "");
  EXPECT_TRUE(made.Has("/spec/performDisruptiveBackfill"));
}

TEST_P(ApiServerContractTest, RulesRefuseWithTheirWordsAndTheirField) {
  nlohmann::json object = Backfill("a");
  object["spec"]["dryRun"] = false;
  object["spec"]["throttle"] = {{"maxRecordsPerSecond", 5}};
  const Reply refused = Create("backfills", object);
  EXPECT_EQ(refused.status, 422);
  EXPECT_EQ(refused.Text("/details/kind"), "Backfill");
  EXPECT_EQ(refused.Text("/details/causes/0/field"), "spec.performDisruptiveBackfill");
  EXPECT_THAT(refused.Text("/details/causes/0/message"), HasSubstr("must repeat the name, \"a\""));
}

TEST_P(ApiServerContractTest, WhatIsPlannedIsFixed) {
  Create("backfills", Backfill("a"));
  ASSERT_EQ(MergeStatus("a", {{"status",
                               {{"plan",
                                 {{"hash", "sha256:00"},
                                  {"shards", 1},
                                  {"records", 10},
                                  {"time", "2026-01-01T00:00:00Z"}}}}}})
                .status,
            200);
  const Reply refused =
      Merge("backfills", "a", {{"spec", {{"source", {{"range", {{"end", 11}}}}}}}});
  EXPECT_EQ(refused.status, 422);
  EXPECT_EQ(refused.Text("/details/causes/0/field"), "spec.source");
  EXPECT_EQ(Merge("backfills", "a", {{"spec", {{"paused", true}}}}).status, 200);
}

TEST_P(ApiServerContractTest, ALedgerIsTakenAsTheCoordinatorWritesIt) {
  EXPECT_EQ(Create("backfillledgers", Ledger("a")).status, 201);
  nlohmann::json object = Ledger("b");
  object.erase("data");
  EXPECT_EQ(Create("backfillledgers", object).status, 422);
  object = Ledger("b");
  object["epoch"] = -1;
  EXPECT_EQ(Create("backfillledgers", object).status, 422);
  object = Ledger("b");
  object["writer"] = std::string(65, 'a');
  EXPECT_EQ(Create("backfillledgers", object).status, 422);
  EXPECT_EQ(Send(HttpMethod::kPatch, Path("backfillledgers", "a") + "/status", "{}", kMerge).status,
            404);
}

TEST_P(ApiServerContractTest, AnImmutableConfigMapStaysAsItIs) {
  nlohmann::json object = Named("a");
  object["immutable"] = true;
  object["data"] = {{"k", "v"}};
  Create("configmaps", object);
  const Reply refused = Merge("configmaps", "a", {{"data", {{"k", "w"}}}});
  EXPECT_EQ(refused.status, 422);
  EXPECT_EQ(refused.Text("/details/causes/0/field"), "data");
  EXPECT_EQ(Merge("configmaps", "a", {{"metadata", {{"labels", {{"a", "b"}}}}}}).status, 200);
}

// R29
TEST_P(ApiServerContractTest, R29_TooLargeHasTwoFaces) {
  nlohmann::json object = Ledger("a");
  object["data"] = std::string(1'559'000, 'A');
  EXPECT_EQ(Create("backfillledgers", object).status, 201);
  object = Ledger("b");
  object["metadata"]["annotations"] = {{"a", std::string(200'000, 'a')}};
  object["data"] = std::string(1'500'000, 'A');
  const Reply etcd = Create("backfillledgers", object);
  EXPECT_EQ(etcd.status, 500);
  EXPECT_EQ(etcd.Text("/message"), "etcdserver: request is too large");
  object["data"] = std::string(3'200'000, 'A');
  const Reply request = Create("backfillledgers", object);
  EXPECT_EQ(request.status, 413);
  EXPECT_EQ(request.Text("/reason"), "RequestEntityTooLarge");
}

TEST_P(ApiServerContractTest, ADryRunOfTheServerStoresNothing) {
  EXPECT_EQ(Post(Path("configmaps") + "?dryRun=All", Named("a")).status, 201);
  EXPECT_EQ(Get("configmaps", "a").status, 404);
}

TEST_P(ApiServerContractTest, ApplyCreatesThenMerges) {
  nlohmann::json object = Named("a");
  object["apiVersion"] = "v1";
  object["kind"] = "ConfigMap";
  object["data"] = {{"k", "v"}};
  EXPECT_THAT(Send(HttpMethod::kPatch, Path("configmaps", "a"), object.dump(), kApply).status,
              AnyOf(400, 422));
  const std::string target = Path("configmaps", "a") + "?fieldManager=test";
  EXPECT_EQ(Send(HttpMethod::kPatch, target, object.dump(), kApply).status, 201);
  object["data"] = {{"k", "w"}};
  const Reply merged = Send(HttpMethod::kPatch, target, object.dump(), kApply);
  EXPECT_EQ(merged.status, 200);
  EXPECT_EQ(merged.Text("/data/k"), "w");
}

TEST_P(ApiServerContractTest, AForgedTokenIsNotAuthenticated) {
  const Reply review =
      Post("/apis/authentication.k8s.io/v1/tokenreviews",
           {{"apiVersion", "authentication.k8s.io/v1"},
            {"kind", "TokenReview"},
            {"spec", {{"token", "forged"}, {"audiences", {"backfill-operator"}}}}});
  EXPECT_EQ(review.status, 201);
  EXPECT_NE(review.Text("/status/authenticated"), "true");
  EXPECT_NE(review.Text("/status/error"), "");
}

TEST_P(ApiServerContractTest, CallsEndByTheirDeadlineAndOnStop) {
  const HttpRequest request{
      .method = HttpMethod::kGet, .target = Path("configmaps"), .content_type = {}, .body = {}};
  const Time now = server_->clock().Steady();
  const auto late = server_->transport().Send(request, now - std::chrono::seconds(1), {});
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.error().code, ErrorCode::kDeadline);
  std::stop_source stop;
  stop.request_stop();
  const auto stopped =
      server_->transport().Send(request, now + std::chrono::seconds(30), stop.get_token());
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().code, ErrorCode::kAborted);
  WatchReader watch(*server_, Path("configmaps") + "?watch=1");
  watch.Stop();
  const auto end = watch.End();
  ASSERT_FALSE(end.ok());
  EXPECT_EQ(end.error().code, ErrorCode::kAborted);
}

INSTANTIATE_TEST_SUITE_P(Servers, ApiServerContractTest, ::testing::Values(ServerOfThisBinary()),
                         [](const auto& param_info) { return param_info.param.name; });

}  // namespace
}  // namespace backfill::kube
