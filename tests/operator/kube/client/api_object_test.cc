#include "operator/kube/client/api_object.h"

#include <nlohmann/json.hpp>

#include "operator/kube/client/json_fields.h"

namespace backfill::kube {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

constexpr ResourceType kPods{.group = "", .version = "v1", .plural = "pods", .kind = "Pod"};
constexpr ResourceType kJobs{.group = "batch", .version = "v1", .plural = "jobs", .kind = "Job"};
constexpr ResourceType kReviews{.group = "authentication.k8s.io",
                                .version = "v1",
                                .plural = "tokenreviews",
                                .kind = "TokenReview",
                                .namespaced = false};

TEST(PathOfTest, NamesCollectionsObjectsAndSubresources) {
  EXPECT_EQ(PathOf(kPods), "/api/v1/pods");
  EXPECT_EQ(PathOf(kPods, "shop"), "/api/v1/namespaces/shop/pods");
  EXPECT_EQ(PathOf(kJobs, "shop", "a-run"), "/apis/batch/v1/namespaces/shop/jobs/a-run");
  EXPECT_EQ(PathOf(kJobs, "shop", "a-run", "status"),
            "/apis/batch/v1/namespaces/shop/jobs/a-run/status");
  EXPECT_EQ(PathOf(kReviews), "/apis/authentication.k8s.io/v1/tokenreviews");
  EXPECT_EQ(PathOf(kReviews, "shop", "x"), "/apis/authentication.k8s.io/v1/tokenreviews/x");
}

TEST(PathOfTest, NoNameLeavesItsPlace) {
  EXPECT_EQ(PathOf(kPods, "a/b", "x?limit=1#y %"),
            "/api/v1/namespaces/a%2Fb/pods/x%3Flimit%3D1%23y%20%25");
  EXPECT_EQ(PathOf(kPods, "..", "."), "/api/v1/namespaces/%2E%2E/pods/%2E");
  EXPECT_EQ(PathOf(kPods, "a", "system:node\r\n"), "/api/v1/namespaces/a/pods/system%3Anode%0D%0A");
}

TEST(DecodeMetaTest, ReadsWhatIsThere) {
  const auto meta = DecodeMeta(json::parse(R"({"metadata":{
    "namespace":"shop","name":"a","uid":"u","resourceVersion":"7","generation":3,
    "creationTimestamp":"2026-11-23T03:28:59Z","deletionTimestamp":"2026-11-24T03:28:59Z",
    "labels":{"l":"1"},"annotations":{"a":"2"},"finalizers":["f","g"],"selfLink":null,
    "ownerReferences":[
      {"apiVersion":"v1","kind":"ConfigMap","name":"c","uid":"cu"},
      {"apiVersion":"batch/v1","kind":"Job","name":"j","uid":"ju","controller":true,"blockOwnerDeletion":true}]}})"));
  ASSERT_TRUE(meta.ok()) << meta.error().message;
  EXPECT_EQ(meta->key(), (ObjectKey{.ns = "shop", .name = "a"}));
  EXPECT_EQ(meta->uid, "u");
  EXPECT_EQ(meta->resource_version, "7");
  EXPECT_EQ(meta->generation, 3);
  EXPECT_EQ(meta->creation_time, "2026-11-23T03:28:59Z");
  EXPECT_EQ(meta->deletion_time, "2026-11-24T03:28:59Z");
  EXPECT_THAT(meta->labels, ElementsAre(Pair("l", "1")));
  EXPECT_THAT(meta->annotations, ElementsAre(Pair("a", "2")));
  EXPECT_THAT(meta->finalizers, ElementsAre("f", "g"));
  ASSERT_NE(meta->controller(), nullptr);
  EXPECT_EQ(
      *meta->controller(),
      (OwnerReference{
          .api_version = "batch/v1", .kind = "Job", .name = "j", .uid = "ju", .controller = true}));
}

TEST(DecodeMetaTest, WhatIsAbsentOrNullHasDefaults) {
  for (const char* text : {"{}", R"({"metadata":null})", R"({"metadata":{}})",
                           R"({"metadata":{"labels":null,"creationTimestamp":null,"finalizers":null,
                               "ownerReferences":null,"generation":null}})"}) {
    const auto meta = DecodeMeta(json::parse(text));
    ASSERT_TRUE(meta.ok()) << text;
    EXPECT_EQ(meta->name, "");
    EXPECT_EQ(meta->generation, 0);
    EXPECT_EQ(meta->controller(), nullptr);
  }
  const auto of_null = DecodeMeta(json::parse(R"({"metadata":{"labels":{"l":null}}})"));
  ASSERT_TRUE(of_null.ok());
  EXPECT_THAT(of_null->labels, ElementsAre(Pair("l", "")));
}

TEST(DecodeMetaTest, AWrongTypeIsNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {R"([])", "must be an object"},
      {R"({"metadata":"x"})", "metadata: must be an object"},
      {R"({"metadata":{"name":7}})", "metadata.name: must be a string"},
      {R"({"metadata":{"generation":"7"}})", "metadata.generation: must be an integer"},
      {R"({"metadata":{"generation":1.5}})", "metadata.generation: must be an integer"},
      {R"({"metadata":{"generation":9223372036854775808}})",
       "metadata.generation: must be an integer of 64 bits"},
      {R"({"metadata":{"labels":["x"]}})", "metadata.labels: must be an object of strings"},
      {R"({"metadata":{"labels":{"x":1}}})", "metadata.labels[x]: must be a string"},
      {R"({"metadata":{"finalizers":"x"}})", "metadata.finalizers: must be a list of strings"},
      {R"({"metadata":{"finalizers":["a",{}]}})", "metadata.finalizers[1]: must be a string"},
      {R"({"metadata":{"ownerReferences":{}}})",
       "metadata.ownerReferences: must be a list of objects"},
      {R"({"metadata":{"ownerReferences":[7]}})", "metadata.ownerReferences[0]: must be an object"},
      {R"({"metadata":{"ownerReferences":[{"controller":"true"}]}})",
       "metadata.ownerReferences[0].controller: must be true or false"},
  };
  for (const auto& [text, problem] : cases) {
    const auto meta = DecodeMeta(json::parse(text));
    ASSERT_FALSE(meta.ok()) << text;
    EXPECT_EQ(meta.error().code, ErrorCode::kInvalid);
    EXPECT_EQ(meta.error().message, problem);
  }
}

TEST(ControllerReferenceTest, IsReadAsThatOfTheObjectAndNoOtherOfItsName) {
  const ObjectMeta owner{.name = "a", .uid = "u1"};
  const ResourceType jobs{.group = "batch", .version = "v1", .plural = "jobs", .kind = "Job"};
  const json reference = ControllerReference(jobs, owner);
  EXPECT_EQ(reference["apiVersion"], "batch/v1");
  EXPECT_EQ(reference["blockOwnerDeletion"], true);
  const auto child = DecodeMeta({{"metadata", {{"name", "b"}, {"ownerReferences", {reference}}}}});
  ASSERT_TRUE(child.ok());
  EXPECT_TRUE(child->IsControlledBy("u1"));
  EXPECT_FALSE(child->IsControlledBy("u2"));
  EXPECT_FALSE(owner.IsControlledBy("u1"));
  EXPECT_EQ(ApiVersionOf({.group = "", .version = "v1", .plural = "pods", .kind = "Pod"}), "v1");
}

TEST(ParseJsonTest, SaysWhereItIsWrongAndNotWhatStoodThere) {
  const auto e = ParseJson(R"({"token": "s3cret" oops})");
  ASSERT_FALSE(e.ok());
  EXPECT_THAT(e.error().message, HasSubstr("byte 20 of 24"));
  for (const char* text : {"", " ", "{", "nul", "{\"a\":1}x", "\"\xff\"", "[1e999]", "{\"a\" 1}"}) {
    EXPECT_FALSE(ParseJson(text).ok()) << text;
  }
  EXPECT_FALSE(ParseJson(std::string_view("{}\0", 3)).ok());
}

TEST(ParseJsonTest, TakesSixtyFourLevelsAndNoMore) {
  const auto nested = [](int levels) {
    return std::string(static_cast<std::size_t>(levels), '[') +
           std::string(static_cast<std::size_t>(levels), ']');
  };
  EXPECT_TRUE(ParseJson(nested(64)).ok());
  EXPECT_FALSE(ParseJson(nested(65)).ok());
  EXPECT_FALSE(ParseJson(nested(50'000)).ok());
  EXPECT_FALSE(ParseJson(std::string(50'000, '[')).ok());
}

}  // namespace
}  // namespace backfill::kube
