// The cache of operator/kube beside the informer of client-go (`build/bench/informer watch`,
// main.go): takes the same options, does the same, and says what it took in the same words. run.sh
// runs both. It also makes what both look at.
#include <sys/resource.h>

#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>

#include "base/clock.h"
#include "base/mutex.h"
#include "bench/informer/pods.h"
#include "operator/kube/cache/informer.h"
#include "operator/kube/cache/kinds.h"
#include "operator/kube/cache/object_cache.h"
#include "operator/kube/client/rest_transport.h"
#include "tests/operator/kube/cluster/server_access.h"

namespace backfill::kube {
namespace {

using namespace std::chrono_literals;

constexpr const char* kUsage =
    "usage: informer_bench COMMAND [OPTIONS]\n\n"
    "  create   make pods, as many as --pods says; those that are there stay\n"
    "  touch    change a label of pod after pod, --events times\n"
    "  watch    list and watch until the cache has --pods pods and --events changes have come,\n"
    "           then print, as JSON, what that took\n\n"
    "  --kubeconfig FILE (default $KUBECONFIG; one of tests/cluster)   --namespace NAME\n"
    "  --pods N (10000)   --events N (0)   --metadata-only (watch)   --timeout 5m (watch)\n";

struct Options {
  std::string command;
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
  if (argc < 2) return std::nullopt;
  o.command = argv[1];
  for (int i = 2; i < argc; ++i) {
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
  const bool known = o.command == "create" || o.command == "touch" || o.command == "watch";
  if (!known || o.kubeconfig.empty() || o.pods < 1) return std::nullopt;
  return o;
}

// Counted, as asking the cache would cost more than what is measured.
class Counts final : public CacheListener {
 public:
  void OnDelta(const Delta& delta) override {
    if (delta.type == DeltaType::kAdded) ++pods;
    if (delta.type != DeltaType::kUpdated) return;
    MutexLock l(mu_);
    changed_.insert(delta.object->meta.name);
    ++events;
  }
  // How many pods there are of which a change has come.
  std::size_t Changed() const {
    MutexLock l(mu_);
    return changed_.size();
  }
  std::atomic<long> pods = 0, events = 0;

 private:
  mutable Mutex mu_;
  std::set<std::string> changed_ GUARDED_BY(mu_);
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

int Watch(const Options& o, const ServerAccess& access) {
  const SystemClock clock;
  const auto transport = Connect(access, "informer-bench", clock);
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
      R"({"pods":%zu,"events":%ld,"changed":%zu,"sync_cpu_seconds":%.3f,"sync_seconds":%.3f,"cpu_seconds":%.3f,)"
      R"("events_seconds":%.3f,"sync_max_rss_kib":%ld,"max_rss_kib":%ld})"
      "\n",
      cache.size(), counts.events.load(), counts.Changed(), synced.cpu_seconds, sync_seconds,
      used.cpu_seconds, since(events_began), synced.max_rss_kib, used.max_rss_kib);
  return 0;
}

int Run(const Options& o) {
  StartHttpThreads(4);
  const Result<ServerAccess> access = ReadAccess(o.kubeconfig);
  if (!access.ok()) return Fail(access.error().message);
  if (o.command == "watch") return Watch(o, *access);
  const Pods pods(*access, o.ns);
  const Status made = o.command == "create" ? pods.Create(o.pods) : pods.Touch(o.events, o.pods);
  return made.ok() ? 0 : Fail(made.error().message);
}

}  // namespace
}  // namespace backfill::kube

int main(int argc, char** argv) {
  const auto options = backfill::kube::Parse(argc, argv);
  if (!options) {
    std::fputs(backfill::kube::kUsage, stderr);
    return 2;
  }
  return backfill::kube::Run(*options);
}
