#include "cli/cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "base/log.h"
#include "tests/fakes/fake_api_server.h"
#include "tests/fakes/manual_clock.h"

namespace backfill::cli {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

// Of a server that is somebody else's.
class Borrowed final : public kube::HttpTransport {
 public:
  explicit Borrowed(kube::HttpTransport& to) : to_(to) {}
  Result<kube::HttpResponse> Send(const kube::HttpRequest& request, Time deadline,
                                  std::stop_token stop) override {
    return to_.Send(request, deadline, std::move(stop));
  }
  Result<kube::HttpResponse> Stream(const kube::HttpRequest& request,
                                    const kube::StreamLimits& limits, std::stop_token stop,
                                    const std::function<bool(std::string_view)>& on_line) override {
    return to_.Stream(request, limits, std::move(stop), on_line);
  }

 private:
  kube::HttpTransport& to_;
};

class ClusterTest : public testing::Test {
 protected:
  void SetUp() override {
    SetLogLevel(LogLevel::kError);  // each try that fails is a warning
    // Waits of threads are real, and over at once, as long as this clock is behind the machine's.
    clock_.Advance(-59min);
    ASSERT_EQ(
        server_
            .Do(kube::HttpMethod::kPost, "/apis/backfill.dev/v1alpha1/namespaces/shop/backfills",
                R"({"apiVersion":"backfill.dev/v1alpha1","kind":"Backfill",
                          "metadata":{"name":"reprice"},"spec":{}})")
            .status,
        201);
  }
  // While it waits time passes, a hundred times as fast as it does.
  template <typename Holds>
  bool Eventually(Holds holds) {
    const auto began = std::chrono::steady_clock::now();
    auto next = began;
    while (!holds()) {
      const auto now = std::chrono::steady_clock::now();
      if (now > began + 30s) return false;
      if (now >= next) {
        clock_.Advance(1s);
        next += 10ms;
      }
      std::this_thread::yield();
    }
    return true;
  }

  const kube::ObjectRef ref_{"Backfill", "shop", "reprice"};
  fakes::ManualClock clock_;
  fakes::FakeApiServer server_{clock_};
  Cluster cluster_{{.facts = {.server = "https://k", .context = "dev", .ns = "shop"},
                    .calls = std::make_unique<Borrowed>(server_),
                    .watches = std::make_unique<Borrowed>(server_)},
                   clock_};
};

TEST_F(ClusterTest, TellsSinceWhenTheServerIsAwayAndKeepsWhatItHas) {
  cluster_.Follow(ref_);
  ASSERT_TRUE(cluster_.Get(ref_).ok());
  EXPECT_EQ(cluster_.WatchNote(), "");
  server_.GoDown();
  ASSERT_TRUE(Eventually(
      [&] { return cluster_.WatchNote().find("connection refused") != std::string::npos; }));
  const std::string note = cluster_.WatchNote();
  EXPECT_THAT(note, AllOf(StartsWith("as it was at 20"),
                          HasSubstr("the API server https://k (context dev) cannot be used")));
  clock_.Advance(60s);
  EXPECT_EQ(cluster_.WatchNote(), note) << "a log gets it once";
  EXPECT_TRUE(cluster_.Get(ref_).ok()) << "as it was";
  server_.ComeBack();
  EXPECT_TRUE(Eventually([&] { return cluster_.WatchNote().empty(); }));
}

TEST_F(ClusterTest, GivesUpWhereItIsRefusedForHalfAMinute) {
  cluster_.Follow(ref_);
  ASSERT_TRUE(cluster_.Get(ref_).ok());
  server_.FailAlways(fakes::Fault::Unauthorized());
  server_.CutStreams();
  EXPECT_TRUE(Eventually([&] { return !cluster_.Get(ref_).ok(); }));
  EXPECT_EQ(cluster_.Get(ref_).error().code, ErrorCode::kUnauthenticated);
}

TEST_F(ClusterTest, ChangesNothingButAnnotations) {
  const kube::Object object = cluster_.Get(ref_).value();
  EXPECT_EQ(cluster_.Create(object, kube::Durability::kPower).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(cluster_.Update(object, kube::Durability::kPower).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(cluster_.UpdateStatus(object, kube::Durability::kPower).error().code,
            ErrorCode::kInvalid);
  EXPECT_EQ(cluster_.Delete(ref_, "").error().code, ErrorCode::kInvalid);
  const auto patched =
      cluster_.PatchAnnotations(ref_, object.resource_version, {{"a", "b"}, {"c", std::nullopt}});
  ASSERT_TRUE(patched.ok()) << patched.error().message;
  EXPECT_EQ(patched->annotations, (std::map<std::string, std::string>{{"a", "b"}}));
  EXPECT_EQ(cluster_.PatchAnnotations(ref_, object.resource_version, {{"a", "x"}}).error().code,
            ErrorCode::kConflict)
      << "it has another version now";
}

}  // namespace
}  // namespace backfill::cli
