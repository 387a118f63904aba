#include "operator/kube/cache/list_watch_request.h"

#include <gtest/gtest.h>

#include "operator/kube/cache/kinds.h"

namespace backfill::kube {
namespace {

std::string Target(const GetPage& page, const Selection& selection = {}) {
  return RequestOf(page, kPods, selection).target;
}

TEST(ListWatchRequestTest, R1_NamesTheVersionAndHowItIsMeant) {
  EXPECT_EQ(Target({.version = "0", .token = "", .limit = 500}),
            "/api/v1/pods?limit=500&resourceVersion=0");
  // Without the match, a version and a limit mean exactly that version.
  EXPECT_EQ(Target({.version = "17", .token = "", .limit = 500}),
            "/api/v1/pods?limit=500&resourceVersion=17&resourceVersionMatch=NotOlderThan");
  EXPECT_EQ(Target({.version = "", .token = "", .limit = 500}), "/api/v1/pods?limit=500");
  EXPECT_EQ(Target({.version = "", .token = "", .limit = 0}), "/api/v1/pods");
}

TEST(ListWatchRequestTest, ATokenHasAVersionOfItsOwn) {
  EXPECT_EQ(Target({.version = "17", .token = "a+/=", .limit = 500}),
            "/api/v1/pods?limit=500&continue=a%2B%2F%3D");
}

TEST(ListWatchRequestTest, R2_AWatchAsksForBookmarksAndForItsEnd) {
  const HttpRequest request = RequestOf(
      StartWatch{.version = "17", .timeout_seconds = 251, .give_up_after = {}}, kJobs,
      Selection{.ns = "shop", .labels = "a=b,c in (d)", .fields = "", .metadata_only = false});
  EXPECT_EQ(request.target,
            "/apis/batch/v1/namespaces/shop/jobs?labelSelector=a%3Db%2Cc%20in%20%28d%29"
            "&watch=true&allowWatchBookmarks=true&resourceVersion=17&timeoutSeconds=251");
  EXPECT_EQ(request.accept, "");
}

TEST(ListWatchRequestTest, NothingInASelectorLeavesItsPlace) {
  EXPECT_EQ(Target({.version = "0", .token = "", .limit = 0}, {.ns = "a/b",
                                                               .labels = "",
                                                               .fields = "metadata.name=x&watch=1#",
                                                               .metadata_only = false}),
            "/api/v1/namespaces/a%2Fb/pods?fieldSelector=metadata.name%3Dx%26watch%3D1%23"
            "&resourceVersion=0");
}

TEST(ListWatchRequestTest, R11_AsksForMetadataAlone) {
  const Selection metadata{.ns = "", .labels = "", .fields = "", .metadata_only = true};
  EXPECT_EQ(RequestOf(GetPage{.version = "0", .token = "", .limit = 1}, kPods, metadata).accept,
            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json");
  EXPECT_EQ(RequestOf(StartWatch{.version = "1", .timeout_seconds = 1, .give_up_after = {}}, kPods,
                      metadata)
                .accept,
            "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json");
}

TEST(ListWatchRequestTest, R33_AListMayHave64MiB) {
  EXPECT_EQ(
      RequestOf(GetPage{.version = "0", .token = "", .limit = 1}, kPods, {}).max_response_bytes,
      std::size_t{64} << 20);
}

}  // namespace
}  // namespace backfill::kube
