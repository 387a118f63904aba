#include "operator/kube/example/copier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>
#include <thread>

#include "operator/kube/cache/informer.h"
#include "operator/kube/runtime/controller.h"
#include "operator/kube/runtime/enqueue.h"
#include "tests/fakes/fake_api_server.h"

namespace backfill::kube::example {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr auto kMaps = "/api/v1/namespaces/shop/configmaps";

// The example, whole, with a server in this process. Its threads are real, and so is the clock.
class CopierTest : public testing::Test {
 protected:
  CopierTest() {
    caches_.Add(kConfigMaps.type, cache_);
    cache_.AddListener(&originals_);
    cache_.AddListener(&copies_);
    informer_.Start();
    controller_.Start();
  }
  ~CopierTest() override {
    controller_.Stop();
    informer_.Stop();
  }

  void Create(const std::string& body) {
    EXPECT_EQ(server_.Do(HttpMethod::kPost, kMaps, body).status, 201);
  }
  void Patch(const std::string& name, const std::string& body) {
    EXPECT_EQ(server_
                  .Do(HttpMethod::kPatch, std::string(kMaps) + "/" + name, body,
                      "application/merge-patch+json")
                  .status,
              200);
  }
  std::string Read(const std::string& name) {
    return server_.Do(HttpMethod::kGet, std::string(kMaps) + "/" + name).body;
  }
  // Until the object says so.
  bool Becomes(const std::string& name, const std::string& text) {
    const Time deadline = clock_.Steady() + 20s;
    while (clock_.Steady() < deadline) {
      if (Read(name).find(text) != std::string::npos) return true;
      std::this_thread::yield();
    }
    return false;
  }

  SystemClock clock_;
  NoMetrics metrics_;
  fakes::FakeApiServer server_{clock_, {.collect_at_once = true}};
  ObjectCache cache_;
  Caches caches_;
  ApiClient api_{server_, nullptr};
  Copier copier_{api_, cache_};
  Controller controller_{{.name = "copier"}, copier_, caches_, clock_, metrics_};
  EnqueueObject originals_{controller_.queue(), controller_.guard()};
  EnqueueOwner copies_{controller_.queue(), controller_.guard(), kConfigMaps.type, kConfigMaps.type,
                       0s};
  Informer informer_{server_, clock_, kConfigMaps, cache_, {}};
};

TEST_F(CopierTest, CopiesFollowsAndMends) {
  Create(R"({"metadata":{"name":"a","labels":{"copy":""}},"data":{"color":"red"}})");
  EXPECT_TRUE(Becomes("a-copy", R"("red")"));
  Patch("a", R"({"data":{"color":"blue"}})");
  EXPECT_TRUE(Becomes("a-copy", R"("blue")"));
  Patch("a-copy", R"({"data":{"color":"green"}})");  // somebody else
  EXPECT_TRUE(Becomes("a-copy", R"("blue")"));
}

TEST_F(CopierTest, LeavesAloneWhatIsNotAskedForOrOfOthers) {
  Create(R"({"metadata":{"name":"b-copy"},"data":{"color":"theirs"}})");
  Create(R"({"metadata":{"name":"plain"},"data":{"color":"red"}})");
  Create(R"({"metadata":{"name":"b","labels":{"copy":""}},"data":{"color":"ours"}})");
  Create(R"({"metadata":{"name":"last","labels":{"copy":""}},"data":{"color":"red"}})");
  EXPECT_TRUE(Becomes("last-copy", R"("red")"));
  EXPECT_THAT(Read("b-copy"), HasSubstr("theirs"));
  EXPECT_THAT(Read("plain-copy"), HasSubstr("NotFound"));
}

TEST_F(CopierTest, SurvivesAServerInTrouble) {
  server_.FailNext(3, {.status = 503}, {.verb = "create"});
  Create(R"({"metadata":{"name":"a","labels":{"copy":""}},"data":{"color":"red"}})");
  EXPECT_TRUE(Becomes("a-copy", R"("red")"));
}

}  // namespace
}  // namespace backfill::kube::example
