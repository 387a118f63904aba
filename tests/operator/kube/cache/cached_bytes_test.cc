#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "operator/kube/cache/informer.h"
#include "operator/kube/cache/kinds.h"
#include "operator/kube/cache/object_cache.h"
#include "operator/kube/client/wire.h"
#include "tests/fakes/manual_clock.h"
#include "tests/fakes/scripted_transport.h"
#include "tests/operator/kube/cache/cached_bytes.h"
#include "tests/operator/kube/cache/wire_text.h"
#include "tests/operator/kube/cache/workload_text.h"

namespace backfill::kube {
namespace {

#ifdef BACKFILL_SANITIZED
constexpr int kObjects = 500;  // of which each takes ten times as long
#else
constexpr int kObjects = 10'000;
#endif
constexpr std::size_t kMiB = std::size_t{1} << 20;

// What one more object costs, with its place in the cache and in an index.
std::size_t BytesEach(std::string (*text)(const WorkloadText&), DecodeObject decode) {
  constexpr int kEach = 300;
  ObjectCache cache{{ByController()}};
  cache.Replace({}, "1");
  const std::size_t before = HeapBytes();
  {
    std::vector<ApiObjectPtr> objects;
    for (int i = 0; i < kEach; ++i)
      objects.push_back(*ParseObject(text({.version = "123456", .index = i}), decode));
    cache.Replace(std::move(objects), "2");
  }
  EXPECT_EQ(cache.size(), std::size_t{kEach});
  return (HeapBytes() - before) / kEach;
}

TEST(CachedBytesTest, R11_AJobTakesAtMost6KiB) {
  const std::size_t bytes = BytesEach(&WorkerJobText, &DecodeJob);
  std::printf("bytes a Job: %zu\n", bytes);
  EXPECT_LE(bytes, 6 * 1024U);
}

TEST(CachedBytesTest, R11_APodTakesAtMost1KiB) {
  const std::size_t bytes = BytesEach(&WorkerPodText, &DecodePod);
  std::printf("bytes a pod: %zu\n", bytes);
  EXPECT_LE(bytes, 1024U);
  EXPECT_LE(BytesEach(&WorkerPodMetadataText, &DecodePod), 1024U);
}

TEST(CachedBytesTest, NothingStaysOfObjectsThatHaveGone) {
  ObjectCache cache{{ByController()}};
  cache.Replace({}, "1");
  std::size_t before = 0;
  for (int i = 0; i < 2000; ++i) {
    if (i == 1000) before = HeapBytes();
    auto job = std::make_shared<Job>();
    job->meta.name = "a";
    job->meta.uid = "uid-" + std::to_string(i);
    job->meta.owners.push_back({.api_version = "backfill.dev/v1alpha1",
                                .kind = "Backfill",
                                .name = "b",
                                .uid = "an-owner-of-its-own-" + std::to_string(i),
                                .controller = true});
    cache.Apply({.type = ChangeType::kAdded, .object = job}, "2");
    cache.Apply({.type = ChangeType::kDeleted, .object = job}, "3");
  }
  EXPECT_LE(HeapBytes(), before);
}

// Serves any number of objects in pages, as asked for.
class Pages {
 public:
  Pages(std::string (*text)(const WorkloadText&), int objects) : text_(text), objects_(objects) {}

  HttpResponse operator()(const HttpRequest& request) const {
    const std::size_t limit_at = request.target.find("limit=");
    const int limit =
        limit_at == std::string::npos ? objects_ : std::atoi(request.target.c_str() + limit_at + 6);
    const std::size_t token_at = request.target.find("continue=");
    const int begin =
        token_at == std::string::npos ? 0 : std::atoi(request.target.c_str() + token_at + 9);
    const int end = std::min(objects_, begin + limit);
    std::vector<std::string> items;
    for (int i = begin; i < end; ++i) items.push_back(text_({.version = "123456", .index = i}));
    return {.status = 200,
            .body = ListText(items, "200000", end < objects_ ? std::to_string(end) : ""),
            .retry_after = {},
            .warnings = {}};
  }

 private:
  std::string (*text_)(const WorkloadText&);
  int objects_;
};

// Lists all, watches a change of each, lists them again.
void ListAndWatch(const Resource& resource, std::string (*text)(const WorkloadText&),
                  std::size_t most) {
  fakes::ManualClock clock;
  fakes::ScriptedTransport server(clock);
  const Pages pages(text, kObjects);
  server.AnswerOthers([&](const HttpRequest& request) { return pages(request); });
  ObjectCache cache{{ByController()}};
  InformerOptions options;
  options.wait = [](Time, const std::stop_token&) {};
  options.watcher.first_wait = 0s;

  const std::size_t before = HeapBytes();
  ResetPeak();
  Informer informer(server, clock, resource, cache, options);
  informer.Start();
  ASSERT_TRUE(server.AwaitSilence(30s));
  ASSERT_EQ(cache.size(), std::size_t{kObjects});
  const std::size_t listed = PeakHeapBytes() - before;
  for (int i = 0; i < kObjects; ++i) {
    server.Line(EventText("MODIFIED", text({.version = std::to_string(200'001 + i), .index = i})));
    if (i % 100 == 0) {
      ASSERT_TRUE(server.AwaitSilence(30s));
    }
  }
  ASSERT_TRUE(server.AwaitSilence(30s));
  EXPECT_EQ(cache.version(), std::to_string(200'000 + kObjects));
  const std::size_t watched = HeapBytes() - before;
  ResetPeak();
  server.Line(EventText("ERROR", StatusText(410, "Expired")));
  ASSERT_TRUE(server.AwaitSilence(30s));
  const std::size_t relisted = PeakHeapBytes() - before;
  std::printf("MiB: first list at most %zu, then %zu, second list at most %zu\n", listed / kMiB,
              watched / kMiB, relisted / kMiB);
  EXPECT_LE(listed, most);
  EXPECT_LE(relisted, most);
}

TEST(CachedBytesTest, TenThousandPodsAreListedWatchedAndListedAgainWithin100MiB) {
  ListAndWatch({.type = kPods, .decode = &DecodePod}, &WorkerPodText, 100 * kMiB);
}

TEST(CachedBytesTest, TenThousandJobsAreListedWatchedAndListedAgainWithin100MiB) {
  ListAndWatch({.type = kJobs, .decode = &DecodeJob}, &WorkerJobText, 100 * kMiB);
}

// At version 0 a server answers from memory, and then with everything whatever the limit.
TEST(CachedBytesTest, TenThousandPodsInOnePageAreListedWithin100MiB) {
  fakes::ManualClock clock;
  fakes::ScriptedTransport server(clock);
  std::vector<std::string> items;
  for (int i = 0; i < kObjects; ++i)
    items.push_back(WorkerPodMetadataText({.version = "123456", .index = i}));
  std::string text = ListText(items, "200000");
  items = std::vector<std::string>();
  const std::size_t text_bytes = text.capacity();  // counts as received
  server.Answer(200, std::move(text));
  ObjectCache cache;
  ResetPeak();
  const std::size_t before = HeapBytes() - text_bytes;
  Informer informer(server, clock, {.type = kPods, .decode = &DecodePod}, cache, {});
  informer.Start();
  ASSERT_TRUE(server.AwaitSilence(30s));
  ASSERT_EQ(cache.size(), std::size_t{kObjects});
  const std::size_t listed = PeakHeapBytes() - before;
  std::printf("MiB: one page at most %zu\n", listed / kMiB);
  EXPECT_LE(listed, 100 * kMiB);
}

}  // namespace
}  // namespace backfill::kube
