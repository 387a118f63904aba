#include "operator/kube/cache/informer.h"

#include <pthread.h>

#include <condition_variable>
#include <utility>

#include "base/log.h"
#include "operator/kube/client/api_error.h"
#include "operator/kube/client/wire.h"

namespace backfill::kube {
namespace {

// A stream of broken lines must not become a stream of log lines. All are counted.
constexpr std::size_t kMaxProblemsLogged = 3;
constexpr std::size_t kMaxProblemText = 500;

template <typename... Updates>
struct Overloaded : Updates... {
  using Updates::operator()...;
};

}  // namespace

void WaitOnThread(Time until, std::stop_token stop) {
  Mutex mu;
  std::condition_variable_any never;
  MutexLock l(mu);
  never.wait_until(mu, stop, until, [] { return false; });
}

Informer::Informer(HttpTransport& transport, const Clock& clock, const Resource& resource,
                   ObjectCache& cache, InformerOptions options)
    : transport_(transport),
      clock_(clock),
      resource_(resource),
      cache_(cache),
      options_(std::move(options)),
      watcher_(options_.watcher),
      random_(options_.seed) {
  stats_.last_heard = clock_.Steady();
}

Informer::~Informer() { Stop(); }

void Informer::Start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
  // 15 characters at most.
  const std::string name = "watch-" + std::string(resource_.type.plural.substr(0, 9));
  pthread_setname_np(thread_.native_handle(), name.c_str());
}

void Informer::Stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

InformerStats Informer::stats() const {
  MutexLock l(mu_);
  return stats_;
}

void Informer::Run(const std::stop_token& stop) {
  std::optional<WatcherAction> action = Step(Begin{});
  while (action && !stop.stop_requested())
    action = std::visit([&](const auto& what) { return Perform(what, stop); }, *action);
}

// The text of a page is gone before its objects go into the cache.
WatcherInput Informer::Ask(const GetPage& page, const std::stop_token& stop) {
  const Result<HttpResponse> response =
      transport_.Send(RequestOf(page, resource_.type, options_.selection),
                      clock_.Steady() + options_.page_deadline, stop);
  if (!response.ok()) return ListFailed{ErrorOf(response.error())};
  if (response->status != 200) return ListFailed{ErrorOf(*response)};
  Result<ListPage> list = ParseList(response->body, resource_.decode);
  if (!list.ok()) return ListFailed{ErrorOf(list.error())};
  return PageArrived{std::move(list).value()};
}

std::optional<WatcherAction> Informer::Perform(const GetPage& page, const std::stop_token& stop) {
  problems_logged_ = 0;
  WatcherInput answer = Ask(page, stop);
  if (stop.stop_requested()) return std::nullopt;
  return Step(std::move(answer));
}

std::optional<WatcherAction> Informer::Perform(const StartWatch& watch,
                                               const std::stop_token& stop) {
  problems_logged_ = 0;
  // Bookmarks are promised by no one, so silence is no sign of death before the watch is over (R2).
  const StreamLimits limits{.deadline = clock_.Steady() + watch.give_up_after,
                            .idle = watch.give_up_after};
  std::optional<WatcherAction> action;
  const Result<HttpResponse> end =
      transport_.Stream(RequestOf(watch, resource_.type, options_.selection), limits, stop,
                        [&](std::string_view line) {
                          if (stop.stop_requested()) return false;
                          action = Step(EventArrived{ParseWatchLine(line, resource_.decode)});
                          return !action.has_value();
                        });
  if (stop.stop_requested()) return std::nullopt;
  if (action) return action;
  if (!end.ok()) return Step(StreamEnded{ErrorOf(end.error())});
  if (end->status != 200) return Step(StreamEnded{ErrorOf(*end)});
  return Step(StreamEnded{});
}

std::optional<WatcherAction> Informer::Perform(const WaitUntil& wait, const std::stop_token& stop) {
  options_.wait(wait.at, stop);
  if (stop.stop_requested()) return std::nullopt;
  return Step(TimerDue{});
}

std::optional<WatcherAction> Informer::Step(WatcherInput input) {
  const bool heard =
      std::holds_alternative<PageArrived>(input) || std::holds_alternative<EventArrived>(input);
  const Time now = clock_.Steady();
  // Not uniform_real_distribution, which may return 1.
  const double chance = static_cast<double>(random_() >> 11U) * 0x1.0p-53;
  WatcherOutput output = watcher_.Step(std::move(input), now, chance);
  Note(output.problem);
  std::visit(Overloaded{[](std::monostate) {},
                        [&](ReplaceCache& all) {
                          cache_.Replace(std::move(all.objects), all.version, all.unreadable);
                        },
                        [&](ApplyChange& one) { cache_.Apply(one.change, one.version); },
                        [&](const AdvanceVersion& to) { cache_.Advance(to.version); }},
             output.cache);
  {
    // After what it counts: who sees the count sees the cache.
    MutexLock l(mu_);
    stats_.counts = watcher_.counts();
    if (heard) stats_.last_heard = now;
  }
  return std::move(output.action);
}

void Informer::Note(const std::string& problem) {
  if (problem.empty()) return;
  const std::string text = problem.substr(0, kMaxProblemText);
  {
    MutexLock l(mu_);
    stats_.last_problem = text;
  }
  if (++problems_logged_ > kMaxProblemsLogged) return;
  Log(LogLevel::kWarning, "watching the API server",
      {{"resource", std::string(resource_.type.plural)},
       {"namespace", options_.selection.ns},
       {"problem", text}});
}

}  // namespace backfill::kube
