#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "operator/kube/cache/informer.h"
#include "operator/kube/cache/kinds.h"
#include "operator/kube/cache/resource_version.h"
#include "operator/kube/client/wire.h"
#include "tests/fakes/fake_api_server.h"
#include "tests/fakes/manual_clock.h"

// An informer, with threads and JSON, of an API server whose network, watches and memory fail. The
// same rules in thousands of histories, but without either: watcher_model_test.cc.
namespace backfill::kube {
namespace {

using fakes::CallFilter;
using fakes::FakeApiServer;
using fakes::Fault;

const std::string kPath = "/api/v1/namespaces/shop/configmaps";

// Holds what it is told against what may be told.
class Witness final : public CacheListener {
 public:
  void OnDelta(const Delta& delta) override {
    MutexLock l(mu_);
    const std::string& name = delta.object->meta.name;
    const std::string& uid = delta.object->meta.uid;
    const auto it = known_.find(name);
    const bool same = it != known_.end() && it->second == delta.old;
    switch (delta.type) {
      case DeltaType::kAdded:
        if (it != known_.end()) Wrong("added though there", name);
        if (std::exchange(uids_[uid], true)) Wrong("came back from the dead", name);
        known_[name] = delta.object;
        return;
      case DeltaType::kUpdated:
        if (!same) Wrong("updated from something else", name);
        if (IsOlder(delta.object->meta.resource_version, delta.old->meta.resource_version))
          Wrong("went back in time", name);
        known_[name] = delta.object;
        return;
      case DeltaType::kDeleted:
        if (!same) Wrong("deleted though not there", name);
        known_.erase(name);
        ++deletions_;
        return;
    }
  }
  [[nodiscard]] std::string wrong() const {
    MutexLock l(mu_);
    return wrong_;
  }
  [[nodiscard]] int deletions() const {
    MutexLock l(mu_);
    return deletions_;
  }

 private:
  void Wrong(std::string_view what, const std::string& name) REQUIRES(mu_) {
    wrong_ += fmt::format("{} {}; ", name, what);
  }
  mutable Mutex mu_;
  std::map<std::string, ApiObjectPtr> known_ GUARDED_BY(mu_);
  std::map<std::string, bool> uids_ GUARDED_BY(mu_);
  std::string wrong_ GUARDED_BY(mu_);
  int deletions_ GUARDED_BY(mu_) = 0;
};

class World {
 public:
  explicit World(std::uint64_t seed = 1) : random_(seed) {
    cache_.AddListener(&witness_);
    InformerOptions options;
    options.selection.ns = "shop";
    options.seed = seed;
    options.watcher.page_limit = 3;
    options.wait = [this](Time until, const std::stop_token&) {
      if (const Duration left = until - clock_.Steady(); left > 0s) clock_.Advance(left);
    };
    informer_.emplace(server_, clock_, Resource{.type = kConfigMaps, .decode = &DecodeMetaOnly},
                      cache_, options);
  }

  void Create(const std::string& name) {
    server_.Do(HttpMethod::kPost, kPath,
               R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":")" + name + R"("}})");
  }
  void Change(const std::string& name) {
    server_.Do(HttpMethod::kPatch, kPath + "/" + name,
               fmt::format(R"({{"data":{{"n":"{}"}}}})", ++changes_),
               "application/merge-patch+json");
  }
  void Delete(const std::string& name) { server_.Do(HttpMethod::kDelete, kPath + "/" + name); }

  void Start() { informer_->Start(); }
  // It watches, and what has happened up to now has come to the cache, as a bookmark proves.
  [[nodiscard]] bool Settle() {
    return Await([this] {
      if (server_.OpenStreams("configmaps") == 0) return false;
      if (cache_.HasSeen({}, std::to_string(server_.version()))) return true;
      server_.SendBookmarks("configmaps");
      return false;
    });
  }
  // The watch has ended in good order, and the next one is there: what was skipped is made up for.
  [[nodiscard]] bool NextWatch() {
    const std::uint64_t before = counts().watches;
    if (!Await([this] { return server_.OpenStreams("configmaps") > 0; })) return false;
    server_.EndStreams("configmaps");
    return Await([&] { return counts().watches > before; }) && Settle();
  }
  // A second list has come, and the watch that follows it.
  [[nodiscard]] bool ListsAgain() {
    return Await([&] { return counts().lists >= 2 && counts().watches >= 2; }) && Settle();
  }
  // Empty: the cache is what the server has, and never said anything wrong.
  [[nodiscard]] std::string Compare() {
    const HttpResponse response = server_.Do(HttpMethod::kGet, kPath);
    const Result<ListPage> truth = ParseList(response.body, &DecodeMetaOnly);
    if (!truth.ok()) return truth.error().message;
    std::string difference = witness_.wrong();
    for (const ApiObjectPtr& object : truth->items) {
      const ApiObjectPtr cached = cache_.Get("shop", object->meta.name);
      if (cached == nullptr) {
        difference += object->meta.name + " is missing; ";
      } else if (cached->meta.uid != object->meta.uid ||
                 cached->meta.resource_version != object->meta.resource_version) {
        difference += fmt::format("{} is at {}, not {}; ", object->meta.name,
                                  cached->meta.resource_version, object->meta.resource_version);
      }
    }
    if (cache_.size() != truth->items.size()) difference += "there are others; ";
    return difference;
  }
  [[nodiscard]] std::string Converged() {
    server_.Heal();
    server_.ComeBack();
    server_.CatchUp();
    server_.ThawStreams();
    server_.ReleaseEvents();
    // A half-open connection is given up by the clock alone.
    clock_.Advance(300s);
    for (int i = 0; i < 3; ++i) {
      if (!NextWatch()) return "no watch";
    }
    return Compare();
  }
  [[nodiscard]] WatcherCounts counts() const { return informer_->stats().counts; }

  template <typename Condition>
  static bool Await(Condition condition) {
    const Time end = SystemClock().Steady() + 30s;
    while (!condition()) {
      if (SystemClock().Steady() > end) return false;
      std::this_thread::yield();
    }
    return true;
  }

  int Below(int n) { return static_cast<int>(random_() % static_cast<std::uint64_t>(n)); }
  std::string AnyName() { return std::string(1, static_cast<char>('a' + Below(8))); }

  fakes::ManualClock clock_;
  FakeApiServer server_{clock_};
  Witness witness_;
  ObjectCache cache_{{ByLabel("stage", "stage")}};

 private:
  std::mt19937_64 random_;
  int changes_ = 0;
  std::optional<Informer> informer_;  // last: it ends first
};

TEST(InformerFaultsTest, FollowsAServerThatIsWell) {
  World world;
  for (const char* name : {"a", "b", "c", "d", "e"}) world.Create(name);
  world.Start();
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Compare(), "");
  world.Change("a");
  world.Delete("b");
  world.Create("f");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Compare(), "");
  ASSERT_TRUE(world.NextWatch());
  EXPECT_EQ(world.Compare(), "");
  EXPECT_EQ(world.counts().lists, 1U);
}

// A drop leaves no trace: the next list tells.
TEST(InformerFaultsTest, F2_WatchEventsLostLateTwice) {
  World world;
  for (const char* name : {"a", "b", "c"}) world.Create(name);
  world.Start();
  ASSERT_TRUE(world.Settle());
  world.server_.RepeatEvents(2, "configmaps");
  world.Change("a");
  world.Delete("b");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Compare(), "");
  world.server_.HoldEvents("configmaps");
  world.Create("d");
  world.Delete("a");
  world.server_.ReleaseEvents();
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Compare(), "");
  world.server_.DropEvents(1, "configmaps");
  world.Delete("d");
  world.Change("c");
  ASSERT_TRUE(world.Settle());
  EXPECT_NE(world.Compare(), "");
  world.server_.ExpireStreams("configmaps");
  ASSERT_TRUE(world.ListsAgain());
  EXPECT_EQ(world.Compare(), "");
  EXPECT_EQ(world.witness_.deletions(), 3);
}

TEST(InformerFaultsTest, F3_ALaggingServerNeverTakesTheCacheBack) {
  World world;
  world.Create("a");
  world.Start();
  ASSERT_TRUE(world.Settle());
  world.server_.LagBehind();
  world.Delete("a");
  world.Create("a");
  world.server_.ExpireStreams("configmaps");
  ASSERT_TRUE(World::Await([&] { return world.counts().watches >= 2; }));
  world.server_.CatchUp();
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Compare(), "");
  EXPECT_EQ(world.witness_.deletions(), 1);
}

TEST(InformerFaultsTest, F4_ExpiredAsStatusAndAsEvent) {
  for (const auto as : {FakeApiServer::ExpiredAs::kEvent, FakeApiServer::ExpiredAs::kStatus}) {
    World world;
    world.server_.AnswerExpiredWatches(as);
    for (const char* name : {"a", "b", "c", "d"}) world.Create(name);
    world.Start();
    ASSERT_TRUE(world.Settle());
    // While it is away the server forgets what happened.
    world.server_.GoDown();
    world.Delete("a");
    world.Delete("b");
    world.Create("b");
    world.Change("c");
    world.server_.Compact();
    world.server_.ComeBack();
    ASSERT_TRUE(world.ListsAgain());
    EXPECT_EQ(world.Compare(), "");
    EXPECT_EQ(world.witness_.deletions(), 2);
    EXPECT_GE(world.counts().RelistsFor(RelistReason::kExpired), 1U);
  }
}

TEST(InformerFaultsTest, F5_HalfOpenWatch) {
  World world;
  world.Create("a");
  world.Start();
  ASSERT_TRUE(world.Settle());
  world.server_.FreezeStreams("configmaps");
  world.Change("a");
  world.clock_.Advance(296s);
  ASSERT_TRUE(World::Await([&] { return world.counts().watches >= 2; }));
  world.server_.ThawStreams();
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Compare(), "");
  EXPECT_EQ(world.counts().lists, 1U);
}

TEST(InformerFaultsTest, F6_ApiServerOverloaded) {
  World world;
  for (const char* name : {"a", "b", "c", "d"}) world.Create(name);
  world.server_.FailNext(2, Fault::TooManyRequests(std::chrono::seconds(9)));
  world.server_.FailNext(3, Fault::Status(500, "InternalError"));
  world.server_.FailNext(3, Fault::Status(503));
  const Time before = world.clock_.Steady();
  world.Start();
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Compare(), "");
  // Eight failures, and no more calls than that: no hot loop.
  EXPECT_GE(world.clock_.Steady() - before, 2 * 9s + 60s);
  EXPECT_LE(world.server_.Count(CallFilter{.plural = "configmaps"}), 8 + 2 + 1);
}

// Everything at random. The seed is in the trace of a failure.
TEST(InformerFaultsTest, F2F4F5F6_ConvergesAfterAnyFaults) {
  std::uint64_t relists = 0;
  for (std::uint64_t seed = 1; seed <= 25; ++seed) {
    SCOPED_TRACE(seed);
    World world(seed);
    FakeApiServer& server = world.server_;
    world.Start();
    for (int i = 0; i < 150; ++i) {
      switch (world.Below(24)) {
        case 0:
          server.CutStreams();
          break;
        case 1:
          server.EndStreams();
          break;
        case 2:
          server.ExpireStreams();
          break;
        case 3:
          server.FreezeStreams();
          break;
        case 4:
          server.ThawStreams();
          break;
        case 5:
          server.RepeatEvents(1, "configmaps");
          break;
        case 6:
          server.HoldEvents("configmaps");
          break;
        case 7:
          server.ReleaseEvents();
          break;
        case 8:
          server.SendLine("{\"type\":", "configmaps");
          break;
        case 9:
          server.FailNext(1 + world.Below(3), Fault::Status(503));
          break;
        case 10:
          server.FailNext(1, Fault::TooManyRequests(std::chrono::seconds(2)));
          break;
        case 11:
          server.FailNext(1, Fault::Unreachable());
          break;
        case 12:
          server.Compact();
          break;
        case 13:
          server.LagBehind();
          break;
        case 14:
          server.CatchUp();
          break;
        case 15:
          world.clock_.Advance(std::chrono::seconds(world.Below(200)));
          break;
        case 16:
          server.SendBookmarks();
          break;
        case 17:
          world.Delete(world.AnyName());
          break;
        default:
          if (world.Below(2) == 0) {
            world.Create(world.AnyName());
          } else {
            world.Change(world.AnyName());
          }
      }
    }
    ASSERT_EQ(world.Converged(), "");
    for (const std::uint64_t n : world.counts().relists) relists += n;
  }
  EXPECT_GT(relists, 5U);  // how many depends on threads; a few of any seed's faults need one
}

}  // namespace
}  // namespace backfill::kube
