// Lists, pages and watches of a kube-apiserver; see api_server_contract_test.cc.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/operator/kube/api_server_contract.h"

namespace backfill::kube {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;

TEST_P(ApiServerContractTest, ListsAreOrderedSelectedAndStamped) {
  for (const char* name : {"c", "a", "b"}) Create("configmaps", Labelled(name, name));
  const Reply all = List("configmaps", "labelSelector=team");
  EXPECT_EQ(all.Text("/kind"), "ConfigMapList");
  EXPECT_THAT(NamesIn(all), ElementsAre("a", "b", "c"));
  EXPECT_NE(all.Text("/metadata/resourceVersion"), "");
  EXPECT_FALSE(all.body["items"][0].contains("kind"));
  EXPECT_THAT(NamesIn(List("configmaps", "labelSelector=team+in+%28a%2Cb%29")),
              ElementsAre("a", "b"));
  EXPECT_THAT(NamesIn(List("configmaps", "labelSelector=team%2Cteam%21%3Da")),
              ElementsAre("b", "c"));
  EXPECT_THAT(NamesIn(List("configmaps", "labelSelector=team+notin+%28a%29%2Cteam")),
              ElementsAre("b", "c"));
  EXPECT_THAT(NamesIn(List("configmaps", "fieldSelector=metadata.name%3Db")), ElementsAre("b"));
  EXPECT_EQ(List("configmaps", "fieldSelector=data.x%3Db").status, 400);
  EXPECT_EQ(List("configmaps", "labelSelector=a+b+c").status, 400);
  Create("backfills", Backfill("a"));
  const Reply custom = List("backfills");
  EXPECT_EQ(custom.Text("/kind"), "BackfillList");
  EXPECT_EQ(custom.Text("/items/0/kind"), "Backfill");
  EXPECT_EQ(custom.Text("/items/0/apiVersion"), "backfill.dev/v1alpha1");
}

TEST_P(ApiServerContractTest, PagesShowOneVersionWhateverHappensMeanwhile) {
  for (const char* name : {"a", "b", "c", "d", "e"}) Create("configmaps", Labelled(name, "x"));
  const Reply first = List("configmaps", "labelSelector=team&limit=2");
  EXPECT_THAT(NamesIn(first), ElementsAre("a", "b"));
  Delete("configmaps", "d");
  Create("configmaps", Labelled("aa", "x"));
  const Reply second = List(
      "configmaps", "labelSelector=team&limit=2&continue=" + Quoted(first, "/metadata/continue"));
  EXPECT_THAT(NamesIn(second), ElementsAre("c", "d"));
  EXPECT_EQ(second.Text("/metadata/resourceVersion"), first.Text("/metadata/resourceVersion"));
  const Reply third = List(
      "configmaps", "labelSelector=team&limit=2&continue=" + Quoted(second, "/metadata/continue"));
  EXPECT_THAT(NamesIn(third), ElementsAre("e"));
  EXPECT_EQ(third.Text("/metadata/continue"), "");
  EXPECT_EQ(List("configmaps", "limit=2&continue=nonsense").status, 400);
  EXPECT_EQ(List("configmaps",
                 "limit=2&resourceVersion=5&continue=" + Quoted(first, "/metadata/continue"))
                .status,
            400);
}

TEST_P(ApiServerContractTest, AnOldVersionCanBeListedExactly) {
  Create("configmaps", Labelled("a", "x"));
  const std::string then =
      List("configmaps", "labelSelector=team").Text("/metadata/resourceVersion");
  Create("configmaps", Labelled("b", "x"));
  const std::string old = "labelSelector=team&resourceVersion=" + then;
  EXPECT_THAT(NamesIn(List("configmaps", old + "&resourceVersionMatch=Exact")), ElementsAre("a"));
  EXPECT_THAT(NamesIn(List("configmaps", old + "&resourceVersionMatch=NotOlderThan")),
              Contains("a"));
  EXPECT_EQ(List("configmaps", "resourceVersionMatch=Exact").status, 422);
  EXPECT_EQ(List("configmaps", "resourceVersion=5&resourceVersionMatch=Sideways").status, 422);
  EXPECT_EQ(List("configmaps", "resourceVersion=0&resourceVersionMatch=Exact").status, 422);
  EXPECT_EQ(List("configmaps", "resourceVersion=x").status, 400);
}

// R1
TEST_P(ApiServerContractTest, R1_AListAheadOfTheServerIs504AndAWatchIsSilent) {
  const Reply ahead = List("configmaps", "resourceVersion=900000000000");
  EXPECT_EQ(ahead.status, 504);
  EXPECT_EQ(ahead.Text("/reason"), "Timeout");
  EXPECT_EQ(ahead.Text("/details/causes/0/reason"), "ResourceVersionTooLarge");
  EXPECT_EQ(ahead.Text("/details/retryAfterSeconds"), "1");
  WatchReader watch(*server_, Path("configmaps") + "?watch=true&timeoutSeconds=1" +
                                  "&resourceVersion=900000000000");
  Create("configmaps", Named("a"));
  const auto end = watch.End();
  ASSERT_TRUE(end.ok()) << end.error().message;
  EXPECT_EQ(end->status, 200);
}

TEST_P(ApiServerContractTest, AWatchTellsWhatHappenedSince) {
  const std::string since = List("configmaps").Text("/metadata/resourceVersion");
  const Reply made = Create("configmaps", Labelled("a", "x"));
  const Reply changed = Merge("configmaps", "a", {{"data", {{"k", "v"}}}});
  Delete("configmaps", "a");
  WatchReader watch(*server_,
                    Path("configmaps") + "?watch=1&labelSelector=team&resourceVersion=" + since);
  nlohmann::json event = watch.Next();
  EXPECT_EQ(event["type"], "ADDED");
  EXPECT_EQ(event["object"]["kind"], "ConfigMap");
  EXPECT_EQ(event["object"]["metadata"]["resourceVersion"], made.Text("/metadata/resourceVersion"));
  event = watch.Next();
  EXPECT_EQ(event["type"], "MODIFIED");
  EXPECT_EQ(event["object"]["data"]["k"], "v");
  event = watch.Next();
  EXPECT_EQ(event["type"], "DELETED");
  EXPECT_EQ(event["object"]["data"]["k"], "v");
  EXPECT_NE(event["object"]["metadata"]["resourceVersion"],
            changed.Text("/metadata/resourceVersion"));
  Create("configmaps", Labelled("b", "x"));
  EXPECT_EQ(watch.Next()["object"]["metadata"]["name"], "b");
}

// R6
TEST_P(ApiServerContractTest, R6_AWatchOfVersionZeroBeginsWithWhatIsThere) {
  Create("configmaps", Labelled("a", "x"));
  Create("configmaps", Labelled("b", "x"));
  List("configmaps");
  WatchReader watch(*server_, Path("configmaps") + "?watch=1&labelSelector=team&resourceVersion=0");
  std::vector<std::string> names;
  for (int i = 0; i < 2; ++i) {
    const nlohmann::json event = watch.Next();
    EXPECT_EQ(event["type"], "ADDED");
    names.push_back(event["object"]["metadata"]["name"]);
  }
  EXPECT_THAT(names, ::testing::UnorderedElementsAre("a", "b"));
  Delete("configmaps", "a");
  EXPECT_EQ(watch.Next()["type"], "DELETED");
}

TEST_P(ApiServerContractTest, ForASelectorLeavingIsDeletedAndComingIsAdded) {
  const std::string since = List("configmaps").Text("/metadata/resourceVersion");
  Create("configmaps", Labelled("a", "x"));
  const auto relabel = [&](const char* team) {
    return Merge("configmaps", "a", {{"metadata", {{"labels", {{"team", team}}}}}});
  };
  const Reply left = relabel("y");
  relabel("z");
  relabel("x");
  WatchReader watch(*server_, Path("configmaps") + "?watch=1&labelSelector=team%3Dx" +
                                  "&resourceVersion=" + since);
  EXPECT_EQ(watch.Next()["type"], "ADDED");
  const nlohmann::json gone = watch.Next();
  EXPECT_EQ(gone["type"], "DELETED");
  EXPECT_EQ(gone["object"]["metadata"]["resourceVersion"], left.Text("/metadata/resourceVersion"));
  EXPECT_EQ(gone["object"]["metadata"]["labels"]["team"], "x");
  EXPECT_EQ(watch.Next()["type"], "ADDED");
}

TEST_P(ApiServerContractTest, AWatchOfOneNameTellsOfNoOther) {
  const std::string since = List("leases").Text("/metadata/resourceVersion");
  Create("leases", Named("a"));
  Create("leases", Named("b"));
  Delete("leases", "b");
  WatchReader watch(*server_, Path("leases") + "?watch=1&fieldSelector=metadata.name%3Db" +
                                  "&resourceVersion=" + since);
  EXPECT_EQ(watch.Next()["object"]["metadata"]["name"], "b");
  EXPECT_EQ(watch.Next()["type"], "DELETED");
}

// R2
TEST_P(ApiServerContractTest, R2_AWatchEndsInGoodOrderWhenItsTimeIsOver) {
  WatchReader watch(*server_, Path("configmaps") + "?watch=1&timeoutSeconds=1&resourceVersion=0");
  const auto end = watch.End();
  ASSERT_TRUE(end.ok()) << end.error().message;
  EXPECT_EQ(end->status, 200);
}

TEST_P(ApiServerContractTest, InitialEventsEndWithAMarkedBookmark) {
  Create("backfills", Backfill("a"));
  const std::string target = Path("backfills") + "?watch=1&sendInitialEvents=true";
  WatchReader watch(*server_,
                    target + "&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan");
  EXPECT_EQ(watch.Next(true)["type"], "ADDED");
  const nlohmann::json bookmark = watch.Next(true);
  EXPECT_EQ(bookmark["type"], "BOOKMARK");
  EXPECT_EQ(bookmark["object"]["kind"], "Backfill");
  EXPECT_EQ(bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
  WatchReader refused(*server_, target);
  EXPECT_EQ(Must(refused.End()).status, 422);
}

// R6
TEST_P(ApiServerContractTest, R6_TheEndOfWhatIsThereIsMarkedForAWatchOfVersionZero) {
  Create("backfills", Backfill("a"));
  List("backfills");
  WatchReader watch(*server_,
                    Path("backfills") + "?watch=1&resourceVersion=0&allowWatchBookmarks=true");
  EXPECT_EQ(watch.Next(true)["type"], "ADDED");
  const nlohmann::json bookmark = watch.Next(true);
  EXPECT_EQ(bookmark["type"], "BOOKMARK");
  EXPECT_EQ(bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
}

// R11
TEST_P(ApiServerContractTest, R11_MetadataAloneCanBeAskedFor) {
  const std::string of_one = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
  const std::string of_list = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
  nlohmann::json object = Labelled("a", "x");
  object["data"] = {{"k", "v"}};
  Create("configmaps", object);
  const std::string collection = Path("configmaps") + "?labelSelector=team";
  const Reply list = Send(HttpMethod::kGet, collection, "", "", of_list + ",application/json");
  EXPECT_EQ(list.Text("/kind"), "PartialObjectMetadataList");
  EXPECT_EQ(list.Text("/items/0/kind"), "PartialObjectMetadata");
  EXPECT_EQ(list.Text("/items/0/metadata/labels/team"), "x");
  EXPECT_FALSE(list.Has("/items/0/data"));
  const Reply one = Send(HttpMethod::kGet, Path("configmaps", "a"), "", "", of_one);
  EXPECT_EQ(one.Text("/kind"), "PartialObjectMetadata");
  EXPECT_FALSE(one.Has("/data"));
  EXPECT_EQ(Send(HttpMethod::kGet, collection, "", "", of_one).status, 406);
  EXPECT_EQ(Send(HttpMethod::kGet, Path("configmaps", "a"), "", "", of_list).status, 406);
  WatchReader watch(*server_, collection + "&watch=1&resourceVersion=0", of_one);
  const nlohmann::json event = watch.Next();
  EXPECT_EQ(event["type"], "ADDED");
  EXPECT_EQ(event["object"]["kind"], "PartialObjectMetadata");
  EXPECT_EQ(event["object"]["metadata"]["name"], "a");
  EXPECT_FALSE(event["object"].contains("data"));
}

TEST_P(ApiServerContractTest, AWatchThatMakesNoSenseIsRefused) {
  WatchReader version(*server_, Path("configmaps") + "?watch=1&resourceVersion=x");
  EXPECT_EQ(Must(version.End()).status, 500);
  WatchReader field(*server_, Path("configmaps") + "?watch=1&fieldSelector=data.x%3Db");
  EXPECT_EQ(Must(field.End()).status, 400);
  WatchReader nothing(*server_, "/apis/backfill.dev/v1alpha1/nothings?watch=1");
  EXPECT_EQ(Must(nothing.End()).status, 404);
}

}  // namespace
}  // namespace backfill::kube
