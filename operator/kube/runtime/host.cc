#include "operator/kube/runtime/host.h"

#include <algorithm>
#include <array>
#include <thread>
#include <utility>

#include "base/log.h"

namespace backfill::kube {
namespace {

constexpr std::array kStartOrder = {Stage::kHttp, Stage::kWatches, Stage::kGrpc, Stage::kLease};
constexpr std::array kStopOrder = {Stage::kControllers, Stage::kLease, Stage::kWatches,
                                   Stage::kGrpc, Stage::kHttp};

}  // namespace

Host::Host(const Options& options, const Clock& clock,
           std::function<void(const std::string&)> exit_now)
    : options_(options), clock_(clock), exit_now_(std::move(exit_now)) {}

void Host::Add(Part part) { parts_.push_back(std::move(part)); }

Status Host::Run(const std::stop_token& stop) {
  Tick();
  Status status = Ok{};
  for (const Stage stage : kStartOrder) {
    if (status.ok()) status = StartAll(stage);
  }
  if (status.ok() && !options_.waits_for_leadership) status = StartAll(Stage::kControllers);
  if (status.ok()) status = Serve(stop);
  StopAll();
  return status;
}

void Host::OnLeading(Epoch epoch) {
  Log(LogLevel::kInfo, "this process leads", {{"epoch", std::to_string(epoch.value)}});
  MutexLock l(mu_);
  leading_ = true;
  changed_.notify_all();
}

void Host::OnLost(const std::string& reason) {
  exit_now_("leadership was lost: " + reason);
  MutexLock l(mu_);
  lost_ = reason;
  changed_.notify_all();
}

Time Host::last_tick() const {
  MutexLock l(mu_);
  return last_tick_;
}

Status Host::StartAll(Stage stage) {
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    if (parts_[i].stage != stage) continue;
    Log(LogLevel::kDebug, "starting", {{"part", parts_[i].name}});
    started_.push_back(i);  // one that fails half-way is stopped, too
    if (Status started = parts_[i].start(); !started.ok()) {
      return started.error().Annotate("starting " + parts_[i].name);
    }
  }
  return Ok{};
}

Status Host::Serve(const std::stop_token& stop) {
  for (;;) {
    switch (WaitForNext(stop)) {
      case Wake::kStop:
        return Ok{};
      case Wake::kLost: {
        MutexLock l(mu_);
        return Error{ErrorCode::kAborted, "leadership was lost: " + *lost_};
      }
      case Wake::kLeading:
        if (!options_.waits_for_leadership) break;
        if (Status started = StartAll(Stage::kControllers); !started.ok()) return started;
        break;
      case Wake::kTick:
        Tick();
        break;
    }
  }
}

Host::Wake Host::WaitForNext(const std::stop_token& stop) {
  MutexLock l(mu_);
  const Time next = std::chrono::steady_clock::now() + options_.tick;  // waits in real time
  changed_.wait_until(mu_, stop, next,
                      [this]() REQUIRES(mu_) { return lost_ || leading_ != told_; });
  if (lost_) return Wake::kLost;
  if (stop.stop_requested()) return Wake::kStop;
  if (leading_ == told_) return Wake::kTick;
  told_ = leading_;
  return Wake::kLeading;
}

void Host::StopAll() {
  const Time deadline = clock_.Steady() + options_.stop_within;
  // A part that hangs must not keep the Lease, nor the pod.
  const std::jthread watchman([this](const std::stop_token& done) {
    Mutex idle;
    std::condition_variable_any never;
    MutexLock l(idle);
    never.wait_for(idle, done, options_.stop_within, [] { return false; });
    if (!done.stop_requested()) exit_now_("stopping takes too long");
  });
  for (const Stage stage : kStopOrder) {
    for (auto part = started_.rbegin(); part != started_.rend(); ++part) {
      if (parts_[*part].stage != stage) continue;
      Log(LogLevel::kDebug, "stopping", {{"part", parts_[*part].name}});
      parts_[*part].stop(deadline);
    }
  }
  started_.clear();
}

void Host::Tick() {
  const Time now = clock_.Steady();
  {
    MutexLock l(mu_);
    last_tick_ = now;
  }
  for (const std::size_t i : started_) {
    if (parts_[i].tick) parts_[i].tick(now);
  }
}

}  // namespace backfill::kube
