#include "operator/kube/example/copier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>

#include "operator/kube/runtime/operator.h"
#include "tests/fakes/fake_api_server.h"

namespace backfill::kube::example {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr auto kShop = "/api/v1/namespaces/shop/configmaps";

// The example, whole, with a server in this process. Its threads are real, and so is the clock.
class CopierTest : public testing::Test {
 protected:
  CopierTest() {
    op_.Control(maps_, copier_).Owns(maps_, 0s);
    main_ = std::jthread([this](const std::stop_token& stop) { EXPECT_TRUE(op_.Run(stop).ok()); });
  }

  void Create(const std::string& body) {
    EXPECT_EQ(server_.Do(HttpMethod::kPost, kShop, body).status, 201);
  }
  void Patch(const std::string& name, const std::string& body) {
    EXPECT_EQ(server_
                  .Do(HttpMethod::kPatch, std::string(kShop) + "/" + name, body,
                      "application/merge-patch+json")
                  .status,
              200);
  }
  std::string Read(const std::string& name) {
    return server_.Do(HttpMethod::kGet, std::string(kShop) + "/" + name).body;
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
  ApiClient api_{server_, nullptr};
  Operator op_{server_, clock_, metrics_};
  FollowedKind& maps_ = op_.Follow(kMaps);
  Copier copier_{api_, maps_.cache()};
  std::jthread main_;  // last: it uses all of the above
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
