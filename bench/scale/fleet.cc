#include "bench/scale/fleet.h"

#include <algorithm>
#include <cmath>
#include <future>
#include <utility>

#include "base/mutex.h"

namespace backfill::scale {
namespace {

constexpr Duration kTick = 20ms;    // each worker is looked at so often
constexpr Duration kAudit = 100ms;  // and all grants are added up

}  // namespace

struct Fleet::Impl {
  Impl(FleetOptions options_in, Referee& referee_in)
      : options(std::move(options_in)), referee(referee_in) {
    workers.reserve(static_cast<std::size_t>(options.workers));
    for (int i = 0; i < options.workers; ++i) {
      workers.push_back(
          std::make_unique<SimulatedWorker>(i, options, queue, referee, figures, measuring));
    }
  }

  void Run(const std::stop_token& stop) {
    Time begun = std::chrono::steady_clock::now();
    Time audit = begun;
    std::size_t ticked = 0;  // since `begun`: their turns are spread over the period
    while (!stop.stop_requested()) {
      Poll(1ms);
      const Time now = std::chrono::steady_clock::now();
      const auto part = std::min(
          1.0, static_cast<double>((now - begun).count() + 1) / static_cast<double>(kTick.count()));
      const auto due =
          static_cast<std::size_t>(std::ceil(part * static_cast<double>(workers.size())));
      for (; ticked < due; ++ticked) workers[ticked]->Tick(std::chrono::steady_clock::now());
      if (ticked == workers.size() && now - begun >= kTick) {
        begun = now;
        ticked = 0;
      }
      if (now - audit >= kAudit) {
        audit = now;
        referee.OnGrants(Granted(now), now);
      }
      RunQuestions();
    }
    for (const auto& worker : workers) worker->Stop();
    const auto idle = [](const auto& worker) { return worker->idle(); };
    while (!std::all_of(workers.begin(), workers.end(), idle)) Poll(10ms);
    RunQuestions();
    queue.Shutdown();
    Poll(10ms);
  }

  // All that has come, or the first that comes within that time.
  void Poll(Duration at_most) {
    void* tag = nullptr;
    bool ok = false;
    auto deadline = std::chrono::system_clock::now() + at_most;
    for (int i = 0; i < 200; ++i) {
      if (queue.AsyncNext(&tag, &ok, deadline) != grpc::CompletionQueue::GOT_EVENT) return;
      const auto* what = static_cast<const WorkerStream::Tag*>(tag);
      what->stream->On(what->kind, ok);
      deadline = {};  // only what is there
    }
  }

  [[nodiscard]] double Granted(Time now) const {
    double sum = 0;
    for (const auto& worker : workers) sum += worker->Granted(now);
    return sum;
  }

  void RunQuestions() {
    std::vector<std::packaged_task<void()>> asked;
    {
      MutexLock l(mu);
      asked.swap(questions);
    }
    for (auto& question : asked) question();
  }

  const FleetOptions options;
  Referee& referee;
  grpc::CompletionQueue queue;
  FleetFigures figures;
  bool measuring = false;
  std::vector<std::unique_ptr<SimulatedWorker>> workers;

  Mutex mu;
  std::vector<std::packaged_task<void()>> questions GUARDED_BY(mu);

  std::jthread thread;  // last: it uses all of the above
};

Fleet::Fleet(FleetOptions options, Referee& referee)
    : impl_(std::make_unique<Impl>(std::move(options), referee)) {}

Fleet::~Fleet() { Stop(); }

void Fleet::Start() {
  impl_->thread =
      std::jthread([impl = impl_.get()](const std::stop_token& stop) { impl->Run(stop); });
}

void Fleet::Stop() {
  impl_->thread.request_stop();
  if (impl_->thread.joinable()) impl_->thread.join();
}

void Fleet::Ask(const std::function<void()>& question) {
  if (!impl_->thread.joinable()) return question();
  std::packaged_task<void()> task(question);
  std::future<void> done = task.get_future();
  {
    MutexLock l(impl_->mu);
    impl_->questions.push_back(std::move(task));
  }
  done.get();
}

Fleet::State Fleet::state() {
  State state;
  Ask([&] {
    for (const auto& worker : impl_->workers) {
      state.welcomed += worker->welcomed() ? 1 : 0;
      if (!worker->ended()) continue;
      ++(worker->end() == worker::SessionEnd::kNoMoreWork ? state.ended : state.given_up);
    }
    state.granted = impl_->Granted(std::chrono::steady_clock::now());
    state.figures = impl_->figures;
  });
  return state;
}

void Fleet::Measure(bool on) {
  Ask([&] { impl_->measuring = on; });
}

void Fleet::ForgetLeases() {
  Ask([&] { impl_->figures.first_lease.reset(); });
}

void Fleet::WatchGrants() {
  Ask([&] {
    for (const auto& worker : impl_->workers) worker->WatchGrants();
  });
}

Fleet::Told Fleet::ToldAnotherRate(Time since) {
  Told told;
  Ask([&] {
    for (const auto& worker : impl_->workers) {
      const auto at = worker->ToldAnotherRate();
      if (at) {
        told.ms.Add(Millis(*at - since));
      } else {
        ++told.missing;
      }
    }
  });
  return told;
}

}  // namespace backfill::scale
