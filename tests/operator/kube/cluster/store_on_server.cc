// The store contract's store: that of a real API server, one for all tests of this process.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "operator/kube/api_store.h"
#include "tests/cli/temp_dir.h"
#include "tests/cluster/control_plane.h"
#include "tests/e2e/process.h"
#include "tests/operator/kube/cluster/server_access.h"
#include "tests/operator/kube/store_under_test.h"

namespace backfill::kube {
namespace {

using namespace std::chrono_literals;
using cluster::Component;
using cluster::OwnControlPlane;

// Group, names and subresources are the product's. The contract is about stores, and what it
// stores is no Backfill: these kinds take anything. (The product's are in api_store_server_test.)
constexpr std::string_view kManifests = R"(
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: backfills.backfill.dev}
spec:
  group: backfill.dev
  scope: Namespaced
  names: {kind: Backfill, listKind: BackfillList, plural: backfills, singular: backfill}
  versions:
  - name: v1alpha1
    served: true
    storage: true
    subresources: {status: {}}
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: backfillledgers.backfill.dev}
spec:
  group: backfill.dev
  scope: Namespaced
  names: {kind: BackfillLedger, listKind: BackfillLedgerList, plural: backfillledgers, singular: backfillledger}
  versions:
  - name: v1alpha1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: other}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: bar}}
)";
constexpr std::array<std::string_view, 3> kNamespaces{"shop", "other", "bar"};
constexpr std::array kKinds{kBackfillKind, kLedgerKind, kConfigMapKind};
// The server puts one into each namespace.
constexpr std::string_view kRootCertificate = "kube-root-ca.crt";
constexpr const char* kAllButThat = "?fieldSelector=metadata.name%21%3Dkube-root-ca.crt";

// A control plane of its own, as its kinds are not the product's; started before the first test.
class Server final : public ::testing::Environment {
 public:
  void SetUp() override {
    // In the words by which ctest knows a test that was skipped.
    if (const auto why = OwnControlPlane::WhyNone()) GTEST_SKIP() << "[  SKIPPED ] " << *why;
    Result<OwnControlPlane> started = OwnControlPlane::Start(dir_ / "plane");
    ASSERT_TRUE(started.ok()) << started.error().message;
    plane_.emplace(std::move(started).value());
    const Result<ServerAccess> access = ReadAccess(plane_->kubeconfig());
    ASSERT_TRUE(access.ok()) << access.error().message;
    for (auto* transport : {&calls_, &watches_}) {
      auto connected = Connect(*access, "store-contract", clock_);
      ASSERT_TRUE(connected.ok()) << connected.error().message;
      *transport = std::move(connected).value();
    }
    const Result<std::string> applied = plane_->Apply(kManifests);
    ASSERT_TRUE(applied.ok()) << applied.error().message;
    ASSERT_TRUE(e2e::TimeUntil(30s, [&] { return ServesKinds(); })) << "the kinds are not served";
    // The collector looks for new kinds when it starts, then every 30 s.
    for (const Status& done : {plane_->Stop(Component::kControllerManager),
                               plane_->StartAgain(Component::kControllerManager)}) {
      ASSERT_TRUE(done.ok()) << done.error().message;
    }
  }
  void TearDown() override {
    calls_.reset();
    watches_.reset();
    plane_.reset();
  }

  // Deletes what tests have made. What belonged to something of it goes as well.
  void Empty() {
    for (const std::string_view kind : kKinds) {
      for (const std::string_view ns : kNamespaces) {
        const std::string target = PathOf(FindStoredKind(kind)->type, ns) + kAllButThat;
        EXPECT_EQ(StatusOf({.method = HttpMethod::kDelete, .target = target}), 200) << target;
      }
    }
  }

  HttpTransport& calls() { return *calls_; }
  HttpTransport& watches() { return *watches_; }
  const Clock& clock() { return clock_; }

 private:
  bool ServesKinds() {
    for (const std::string_view kind : {kBackfillKind, kLedgerKind}) {
      if (StatusOf({.target = PathOf(FindStoredKind(kind)->type)}) != 200) return false;
    }
    return true;
  }
  int StatusOf(const HttpRequest& request) {
    const auto response = calls_->Send(request, clock_.Steady() + 20s, {});
    return response.ok() ? response->status : 0;
  }

  const SystemClock clock_;
  const cli::TempDir dir_;
  std::optional<OwnControlPlane> plane_;
  std::unique_ptr<RestTransport> calls_;
  std::unique_ptr<RestTransport> watches_;
};

class OnServer final : public StoreUnderTest {
 public:
  explicit OnServer(Server& server)
      : server_(server),
        store_(server.calls(), server.watches(), server.clock(), ApiStore::Options{}) {
    server_.Empty();
  }
  ObjectStore& store() override { return store_; }
  const Clock& clock() override { return server_.clock(); }
  [[nodiscard]] StoreNature nature() const override {
    return {.room = 2000, .any_label = false, .collects_within = 90s};
  }
  [[nodiscard]] bool IsOfOthers(const ObjectRef& ref) const override {
    return ref.name == kRootCertificate ||
           std::ranges::find(kNamespaces, ref.ns) == kNamespaces.end();
  }

 private:
  Server& server_;
  ApiStore store_;
};

// gtest owns it, starts it unless nothing is to be run, and ends it after the last test.
Server& the_server = static_cast<Server&>(*::testing::AddGlobalTestEnvironment(new Server));

}  // namespace

std::vector<StoreKind> StoresOfThisBinary() {
  return {{"Server", [] { return std::make_unique<OnServer>(the_server); }}};
}

}  // namespace backfill::kube
