// The client against a real kube-apiserver, where there is one: what the fakes are made after.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "base/digest.h"
#include "operator/kube/client/api_client.h"
#include "operator/kube/client/kube_config.h"
#include "operator/kube/client/query.h"
#include "operator/kube/client/reviews.h"

namespace backfill::kube {
namespace {

using nlohmann::json;
using std::chrono::seconds;
using testing::Contains;
using testing::HasSubstr;
using testing::SizeIs;

constexpr Resource kNamespaces{.type = {.group = "",
                                        .version = "v1",
                                        .plural = "namespaces",
                                        .kind = "Namespace",
                                        .namespaced = false},
                               .decode = DecodeMetaOnly};
constexpr Resource kConfigMaps{
    .type = {.group = "", .version = "v1", .plural = "configmaps", .kind = "ConfigMap"},
    .decode = DecodeMetaOnly};
constexpr Resource kBatchJobs{
    .type = {.group = "batch", .version = "v1", .plural = "jobs", .kind = "Job"},
    .decode = DecodeMetaOnly};

class RealServerTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto file = ProcessEnvironment()("BACKFILL_TEST_KUBECONFIG");
    if (!file) GTEST_SKIP() << "no BACKFILL_TEST_KUBECONFIG";
    const auto access = LoadKubeConfig({.files = {*file}});
    ASSERT_TRUE(access.ok()) << access.error().message;
    auto made = RestTransport::Make(OptionsFor(*access), MakeCredentials(*access, clock_), clock_);
    ASSERT_TRUE(made.ok()) << made.error().message;
    transport_ = std::move(made).value();
    client_ = std::make_unique<ApiClient>(
        *transport_, nullptr,
        ApiClientOptions{.on_warning = [this](std::string_view, std::string_view text) {
          warnings_.emplace_back(text);
        }});
    ns_ = "client-" + RandomHex(4);
    const auto created = client_->Create(kNamespaces, "", Body("Namespace", ns_), Soon());
    ASSERT_TRUE(created.ok()) << created.error().message;
  }
  void TearDown() override {
    if (client_ == nullptr) return;
    EXPECT_TRUE(client_->Delete(kNamespaces, {.ns = {}, .name = ns_}, {}, Soon()).ok());
  }

  [[nodiscard]] CallLimits Soon() const { return {.deadline = clock_.Steady() + seconds(20)}; }
  [[nodiscard]] ObjectKey Key(const std::string& name) const { return {.ns = ns_, .name = name}; }
  static std::string Body(const std::string& kind, const std::string& name,
                          json more = json::object()) {
    json body = {{"apiVersion", "v1"}, {"kind", kind}, {"metadata", {{"name", name}}}};
    body.update(more, true);
    return body.dump();
  }
  ApiObjectPtr MustCreate(const std::string& name) {
    auto created = client_->Create(kConfigMaps, ns_, Body("ConfigMap", name), Soon());
    EXPECT_TRUE(created.ok()) << created.error().message;
    return created.ok() ? *created : std::make_shared<ApiObject>();
  }
  template <typename T>
  static std::string KindOf(const ApiResult<T>& result) {
    return result.ok() ? "success" : std::string(ToString(result.error().kind));
  }
  // The events of a watch until `enough`.
  std::vector<WatchEvent> Watch(const std::string& version, std::size_t enough) {
    std::vector<WatchEvent> events;
    Query query;
    query.Add("watch", "true")
        .Add("allowWatchBookmarks", "true")
        .Add("resourceVersion", version)
        .Add("timeoutSeconds", "2");
    const auto end =
        transport_->Stream({.target = query.After(PathOf(kConfigMaps.type, ns_))},
                           {.deadline = clock_.Steady() + seconds(20), .idle = seconds(20)}, {},
                           [&](std::string_view line) {
                             events.push_back(ParseWatchLine(line, DecodeMetaOnly));
                             return events.size() < enough;
                           });
    EXPECT_TRUE(end.ok()) << end.error().message;
    if (end.ok() && end->status != 200) events.emplace_back(ErrorOf(*end));
    return events;
  }

  SystemClock clock_;
  std::unique_ptr<RestTransport> transport_;
  std::unique_ptr<ApiClient> client_;
  std::string ns_;
  std::vector<std::string> warnings_;
};

TEST_F(RealServerTest, CreatesReadsAndDeletes) {
  const auto created = MustCreate("a");
  const auto read = client_->Get(kConfigMaps, Key("a"), Soon());
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ((*read)->meta.uid, created->meta.uid);
  EXPECT_EQ((*read)->meta.resource_version, created->meta.resource_version);
  EXPECT_EQ(KindOf(client_->Create(kConfigMaps, ns_, Body("ConfigMap", "a"), Soon())),
            "already exists");
  EXPECT_EQ(KindOf(client_->Delete(kConfigMaps, Key("a"), {.uid = "another"}, Soon())), "conflict");
  EXPECT_EQ(KindOf(client_->Delete(kConfigMaps, Key("a"), {.resource_version = "1"}, Soon())),
            "conflict");
  EXPECT_EQ(KindOf(client_->Delete(kConfigMaps, Key("a"), {.uid = created->meta.uid}, Soon())),
            "success");
  EXPECT_EQ(KindOf(client_->Get(kConfigMaps, Key("a"), Soon())), "not found");
  EXPECT_EQ(KindOf(client_->Delete(kConfigMaps, Key("a"), {}, Soon())), "not found");
  const Resource none{
      .type = {.group = "none.example", .version = "v1", .plural = "nones", .kind = "None"},
      .decode = DecodeMetaOnly};
  EXPECT_EQ(KindOf(client_->Get(none, Key("a"), Soon())), "not found");
}

TEST_F(RealServerTest, R25_AnOldVersionConflicts) {
  const auto created = MustCreate("a");
  const auto with = [&](const std::string& version) {
    return Body("ConfigMap", "a",
                {{"metadata", {{"resourceVersion", version}}}, {"data", {{"x", version}}}});
  };
  ASSERT_TRUE(
      client_->Update(kConfigMaps, Key("a"), with(created->meta.resource_version), Soon()).ok());
  EXPECT_EQ(
      KindOf(client_->Update(kConfigMaps, Key("a"), with(created->meta.resource_version), Soon())),
      "conflict");
  const std::string patch = json{
      {"metadata", {{"resourceVersion", created->meta.resource_version}}},
      {"data", {{"x", "y"}}}}.dump();
  EXPECT_EQ(KindOf(client_->Patch(kConfigMaps, Key("a"), patch, {}, Soon())), "conflict");  // R27
}

TEST_F(RealServerTest, R26_AJsonPatchWhoseTestFailsIsInvalid) {
  MustCreate("a");
  const PatchOptions options{.type = PatchType::kJson};
  const auto patch = [](const char* before) {
    return json::array({{{"op", "test"}, {"path", "/metadata/name"}, {"value", before}},
                        {{"op", "add"}, {"path", "/metadata/labels"}, {"value", {{"l", "1"}}}}})
        .dump();
  };
  EXPECT_EQ(KindOf(client_->Patch(kConfigMaps, Key("a"), patch("b"), options, Soon())), "invalid");
  const auto patched = client_->Patch(kConfigMaps, Key("a"), patch("a"), options, Soon());
  ASSERT_TRUE(patched.ok()) << patched.error().message;
  EXPECT_EQ((*patched)->meta.labels.at("l"), "1");
}

TEST_F(RealServerTest, R28_AppliesWithItsNameAndByForceAlone) {
  const std::string one = Body("ConfigMap", "a", {{"data", {{"x", "1"}}}});
  const std::string two = Body("ConfigMap", "a", {{"data", {{"x", "2"}}}});
  ASSERT_TRUE(client_->Patch(kConfigMaps, Key("a"), one, {.type = PatchType::kApply}, Soon()).ok());
  const ApiClient other(*transport_, nullptr, {.field_manager = "another"});
  const auto refused = other.Patch(kConfigMaps, Key("a"), two, {.type = PatchType::kApply}, Soon());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ApiErrorKind::kConflict);
  EXPECT_TRUE(refused.error().HasCause("FieldManagerConflict"));
  EXPECT_TRUE(
      other.Patch(kConfigMaps, Key("a"), two, {.type = PatchType::kApply, .force = true}, Soon())
          .ok());
}

TEST_F(RealServerTest, WhatIsRefusedIsSaidFieldByField) {
  const auto invalid = client_->Create(
      kBatchJobs, ns_,
      R"({"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"a"},"spec":{"parallelism":-1,
          "template":{"spec":{"restartPolicy":"Always","containers":[]}}}})",
      Soon());
  ASSERT_FALSE(invalid.ok());
  EXPECT_EQ(invalid.error().kind, ApiErrorKind::kInvalid);
  EXPECT_EQ(invalid.error().http_status, 422);
  EXPECT_THAT(invalid.error().causes,
              Contains(testing::Field(&ApiCause::field, "spec.parallelism")));
  EXPECT_EQ(KindOf(client_->Create(kConfigMaps, ns_, "{", Soon())), "invalid");
}

// A Job that is too large for etcd alone is "invalid" instead: the server makes its selector a
// second time, and finds that it does not fit the first.
TEST_F(RealServerTest, R29_TooLargeIsSaidInBothWays) {
  const Resource revisions{.type = {.group = "apps",
                                    .version = "v1",
                                    .plural = "controllerrevisions",
                                    .kind = "ControllerRevision"},
                           .decode = DecodeMetaOnly};
  for (const auto& [bytes, code] :
       {std::pair<std::size_t, int>{1'600'000, 500}, {4'000'000, 413}}) {
    const auto refused = client_->Create(revisions, ns_,
                                         json{{"apiVersion", "apps/v1"},
                                              {"kind", "ControllerRevision"},
                                              {"metadata", {{"name", "a"}}},
                                              {"revision", 1},
                                              {"data", {{"x", std::string(bytes, 'x')}}}}
                                             .dump(),
                                         Soon());
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().kind, ApiErrorKind::kTooLarge) << refused.error().message;
    EXPECT_EQ(refused.error().http_status, code);
  }
}

TEST_F(RealServerTest, R30_ANamespaceThatEndsSaysSo) {
  // Held by a finalizer of ours, so that it stays Terminating.
  const std::string name = ns_ + "-end";
  ASSERT_TRUE(
      client_
          ->Create(kNamespaces, "",
                   Body("Namespace", name, {{"metadata", {{"finalizers", {"backfill.dev/test"}}}}}),
                   Soon())
          .ok());
  ASSERT_TRUE(client_->Delete(kNamespaces, {.ns = {}, .name = name}, {}, Soon()).ok());
  const auto refused = client_->Create(kConfigMaps, name, Body("ConfigMap", "a"), Soon());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ApiErrorKind::kForbidden);
  EXPECT_TRUE(refused.error().HasCause(kCauseNamespaceTerminating)) << refused.error().message;
  EXPECT_TRUE(client_
                  ->Patch(kNamespaces, {.ns = {}, .name = name},
                          R"({"metadata":{"finalizers":null}})", {}, Soon())
                  .ok());
}

TEST_F(RealServerTest, R31_UnknownFieldsAreWarnedOf) {
  ASSERT_TRUE(
      client_->Create(kConfigMaps, ns_, Body("ConfigMap", "a", {{"speck", 1}}), Soon()).ok());
  EXPECT_THAT(warnings_, Contains(HasSubstr("unknown field \"speck\"")));
}

TEST_F(RealServerTest, R1_ListsInPagesAndRefusesAVersionToCome) {
  for (const char* name : {"a", "b", "c", "d", "e"}) MustCreate(name);
  const auto all = client_->ListAll(
      kConfigMaps, {.ns = ns_, .field_selector = "metadata.name!=kube-root-ca.crt", .page = 2}, 100,
      Soon());
  ASSERT_TRUE(all.ok()) << all.error().message;
  EXPECT_THAT(all->items, SizeIs(5));
  EXPECT_EQ(all->broken, 0u);
  const auto ahead =
      client_->List(kConfigMaps, {.ns = ns_, .resource_version = "999999999"}, Soon());
  EXPECT_EQ(KindOf(ahead), "gone");
  EXPECT_TRUE(!ahead.ok() && ahead.error().HasCause(kCauseVersionTooLarge));
}

TEST_F(RealServerTest, R3_WatchesFromAListAndIsToldWhatIsGone) {
  const auto list = client_->List(kConfigMaps, {.ns = ns_, .resource_version = "0"}, Soon());
  ASSERT_TRUE(list.ok());
  const auto created = MustCreate("a");
  ASSERT_TRUE(client_->Delete(kConfigMaps, Key("a"), {}, Soon()).ok());
  bool added = false, deleted = false;
  for (const WatchEvent& event : Watch(list->resource_version, 100)) {
    const auto* change = std::get_if<Change>(&event);
    EXPECT_FALSE(std::holds_alternative<Broken>(event));
    if (change == nullptr || change->object->meta.name != "a") continue;
    added = added || change->type == ChangeType::kAdded;
    deleted = deleted || (added && change->type == ChangeType::kDeleted);
    EXPECT_EQ(change->object->meta.uid, created->meta.uid);
  }
  EXPECT_TRUE(added && deleted);
}

TEST_F(RealServerTest, SaysWhoMayDoWhat) {
  const AccessQuestion question{.verb = "create", .group = "batch", .resource = "jobs", .ns = ns_};
  EXPECT_TRUE(MayI(*client_, question, Soon())->allowed);
  const auto nobody = MayThey(*client_, {.username = "nobody"}, question, Soon());
  ASSERT_TRUE(nobody.ok()) << nobody.error().message;
  EXPECT_FALSE(nobody->allowed);
  const auto forged = ReviewToken(*client_, "forged", {"backfill-operator"}, Soon());
  ASSERT_TRUE(forged.ok()) << forged.error().message;
  EXPECT_FALSE(forged->authenticated);
}

// A worker's token, and ourselves with such a token in place of a certificate.
TEST_F(RealServerTest, KnowsWhoseTokenItIs) {
  const auto token = [&](const std::string& audiences) {
    const auto made = client_->Call(
        {.method = HttpMethod::kPost,
         .target = "/api/v1/namespaces/" + ns_ + "/serviceaccounts/default/token",
         .content_type = "application/json",
         .body =
             R"({"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"audiences":[)" +
             audiences + "]}}"},
        "asking for a token", Soon());
    return made.ok() ? json::parse(*made)["status"]["token"].get<std::string>() : std::string();
  };
  std::string worker;
  // The account comes a moment after its namespace.
  for (const Time end = clock_.Steady() + seconds(10); worker.empty() && clock_.Steady() < end;)
    worker = token("\"backfill-operator\"");
  const auto known = ReviewToken(*client_, worker, {"backfill-operator"}, Soon());
  ASSERT_TRUE(known.ok()) << known.error().message;
  EXPECT_TRUE(known->authenticated) << known->error;
  EXPECT_EQ(known->user.username, "system:serviceaccount:" + ns_ + ":default");
  EXPECT_THAT(known->user.groups, Contains("system:serviceaccounts"));
  EXPECT_THAT(known->audiences, testing::ElementsAre("backfill-operator"));
  EXPECT_FALSE(ReviewToken(*client_, worker, {"another"}, Soon())->authenticated);

  const auto file = ProcessEnvironment()("BACKFILL_TEST_KUBECONFIG");
  auto access = LoadKubeConfig({.files = {*file}}).value();
  access.files = {
      .token = token(""), .ca_pem = access.files.ca_pem, .ca_file = access.files.ca_file};
  const auto connect = [&] {
    return RestTransport::Make(OptionsFor(access), MakeCredentials(access, clock_), clock_).value();
  };
  const auto ours = connect();
  const ApiClient as_account(*ours, nullptr);
  EXPECT_EQ(KindOf(as_account.Get(kConfigMaps, Key("a"), Soon())), "forbidden");
  access.files.token = worker;  // for another audience
  const auto theirs = connect();
  EXPECT_EQ(KindOf(ApiClient(*theirs, nullptr).Get(kConfigMaps, Key("a"), Soon())),
            "unauthenticated");
}

TEST_F(RealServerTest, KeepsItsConnectionOverTls) {
  MustCreate("a");
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(client_->Get(kConfigMaps, Key("a"), Soon()).ok());
}

}  // namespace
}  // namespace backfill::kube
