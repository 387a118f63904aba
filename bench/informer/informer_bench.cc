// The cache of operator/kube beside the informer of client-go (`build/bench/informer watch`,
// main.go): takes the same options, does the same, and says what it took in the same words. run.sh
// runs both.
#include <sys/resource.h>

#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "base/clock.h"
#include "operator/kube/cache/informer.h"
#include "operator/kube/cache/kinds.h"
#include "operator/kube/cache/object_cache.h"
#include "operator/kube/client/rest_transport.h"
#include "tests/operator/kube/cluster/server_access.h"

namespace backfill::kube {
namespace {

using namespace std::chrono_literals;

constexpr const char* kUsage =
    "usage: informer_bench --kubeconfig FILE [--namespace NAME] [--pods N] [--events N]\n"
    "                      [--metadata-only] [--timeout 5m]\n"
    "The kubeconfig is one of tests/cluster.\n";

struct Options {
  std::string kubeconfig;
  std::string ns = "informer";
  long pods = 10'000;
  long events = 0;
  bool metadata_only = false;
  Duration timeout = 5min;
};

std::optional<long> Number(std::string_view text) {
  long n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc() || end != text.data() + text.size() || n < 0) return std::nullopt;
  return n;
}

// 90s, 5m
std::optional<Duration> Span(std::string_view text) {
  if (text.empty()) return std::nullopt;
  const auto n = Number(text.substr(0, text.size() - 1));
  if (!n || (text.back() != 's' && text.back() != 'm')) return std::nullopt;
  return text.back() == 'm' ? std::chrono::minutes(*n) : std::chrono::seconds(*n);
}

std::optional<Options> Parse(int argc, char** argv) {
  Options o;
  if (const char* set = std::getenv("KUBECONFIG")) o.kubeconfig = set;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--metadata-only") {
      o.metadata_only = true;
      continue;
    }
    if (++i == argc) return std::nullopt;
    const std::string_view value = argv[i];
    const auto number = Number(value);
    const auto span = Span(value);
    if (name == "--kubeconfig") {
      o.kubeconfig = value;
    } else if (name == "--namespace") {
      o.ns = value;
    } else if (name == "--pods" && number) {
      o.pods = *number;
    } else if (name == "--events" && number) {
      o.events = *number;
    } else if (name == "--timeout" && span) {
      o.timeout = *span;
    } else {
      return std::nullopt;
    }
  }
  if (o.kubeconfig.empty() || o.pods < 1) return std::nullopt;
  return o;
}

// Counted, as asking the cache would cost more than what is measured.
class Counts final : public CacheListener {
 public:
  void OnDelta(const Delta& delta) override {
    if (delta.type == DeltaType::kAdded) ++pods;
    if (delta.type == DeltaType::kUpdated) ++events;
  }
  std::atomic<long> pods = 0, events = 0;
};

struct Used {
  double cpu_seconds = 0;
  long max_rss_kib = 0;
};
Used UsedSoFar() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return {.cpu_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime),
          .max_rss_kib = usage.ru_maxrss};
}

int Fail(const std::string& why) {
  std::fprintf(stderr, "informer_bench: %s\n", why.c_str());
  return 1;
}

int Watch(const Options& o) {
  StartHttpThreads(4);
  const SystemClock clock;
  const Result<ServerAccess> access = ReadAccess(o.kubeconfig);
  if (!access.ok()) return Fail(access.error().message);
  const auto transport = Connect(*access, "informer-bench", clock);
  if (!transport.ok()) return Fail(transport.error().message);

  Counts counts;
  ObjectCache cache({ByController(), ByBackfillOfPod()});  // as the operator has it
  cache.AddListener(&counts);
  InformerOptions options;
  options.selection = {.ns = o.ns, .labels = "", .fields = "", .metadata_only = o.metadata_only};
  Informer informer(**transport, clock, {.type = kPods, .decode = DecodePod}, cache, options);

  const Time began = clock.Steady();
  const auto reaches = [&](const auto& holds) {
    while (!holds()) {
      if (clock.Steady() - began > o.timeout) return false;
      std::this_thread::sleep_for(5ms);
    }
    return true;
  };
  const auto since = [&](Time from) {
    return std::chrono::duration<double>(clock.Steady() - from).count();
  };
  informer.Start();
  if (!reaches([&] { return cache.HasSynced() && counts.pods >= o.pods; }))
    return Fail("only " + std::to_string(counts.pods) + " pods: " + informer.stats().last_problem);
  const double sync_seconds = since(began);
  const Used synced = UsedSoFar();
  std::fprintf(stderr, "synced\n");  // whoever makes the events waits for this
  const Time events_began = clock.Steady();
  if (!reaches([&] { return counts.events >= o.events; }))
    return Fail("only " + std::to_string(counts.events) +
                " events: " + informer.stats().last_problem);
  const Used used = UsedSoFar();
  std::printf(
      R"({"pods":%zu,"events":%ld,"sync_cpu_seconds":%.3f,"sync_seconds":%.3f,"cpu_seconds":%.3f,)"
      R"("events_seconds":%.3f,"sync_max_rss_kib":%ld,"max_rss_kib":%ld})"
      "\n",
      cache.size(), counts.events.load(), synced.cpu_seconds, sync_seconds, used.cpu_seconds,
      since(events_began), synced.max_rss_kib, used.max_rss_kib);
  return 0;
}

}  // namespace
}  // namespace backfill::kube

int main(int argc, char** argv) {
  const auto options = backfill::kube::Parse(argc, argv);
  if (!options) {
    std::fputs(backfill::kube::kUsage, stderr);
    return 2;
  }
  return backfill::kube::Watch(*options);
}
