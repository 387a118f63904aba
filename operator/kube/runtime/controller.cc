#include "operator/kube/runtime/controller.h"

#include <condition_variable>
#include <cstdlib>
#include <utility>

#include "base/log.h"
#include "base/mutex.h"

namespace backfill::kube {
namespace {

constexpr int kMaxWorkers = 64;
constexpr Duration kCacheLook = std::chrono::milliseconds(50);  // caches fill in seconds

WorkQueue::Options NamedQueue(WorkQueue::Options options, const std::string& name) {
  options.name = name;
  return options;
}

}  // namespace

std::string ControllerOptions::Validate() const {
  if (name.empty()) return "a controller needs a name";
  if (workers < 1 || workers > kMaxWorkers) return "a controller has 1 to 64 workers";
  if (time_limit <= Duration::zero() || call_limit < 1) {
    return "a reconcile needs some time and some calls";
  }
  return "";
}

Controller::Controller(ControllerOptions options, Reconciler& reconciler, const CacheView& caches,
                       const Clock& clock, MetricRegistry& metrics)
    : options_(std::move(options)),
      caches_(caches),
      queue_(NamedQueue(options_.queue, options_.name), clock, metrics),
      guard_(options_.guard),
      metrics_(metrics, options_.name),
      dispatcher_({.controller = options_.name,
                   .time_limit = options_.time_limit,
                   .call_limit = options_.call_limit,
                   .may_act = options_.may_act},
                  reconciler, caches, queue_, guard_, clock, metrics_) {
  if (const std::string problem = options_.Validate(); !problem.empty()) {
    Log(LogLevel::kError, "a controller cannot work with its options", {{"problem", problem}});
    std::abort();
  }
  metrics_.max_concurrent.Set(options_.workers);
}

void Controller::Start() {
  for (int i = 0; i < options_.workers; ++i) {
    workers_.emplace_back([this](const std::stop_token& stop) { Work(stop); });
  }
}

void Controller::Stop() {
  for (std::jthread& worker : workers_) worker.request_stop();
  queue_.ShutDown(WorkQueue::Rest::kDrop);
  workers_.clear();  // joins
}

void Controller::Tick() {
  queue_.Publish();
  if (queue_.TakeLoss() && options_.add_all) options_.add_all(queue_);
}

void Controller::Work(const std::stop_token& stop) {
  if (!WaitForCaches(stop)) return;
  while (const auto taken = queue_.Pop(stop)) dispatcher_.Handle(*taken, stop);
}

bool Controller::WaitForCaches(const std::stop_token& stop) {
  Mutex idle;
  std::condition_variable_any never;
  while (!caches_.HasSynced()) {
    MutexLock l(idle);
    never.wait_for(idle, stop, kCacheLook, [] { return false; });
    if (stop.stop_requested()) return false;
  }
  return true;
}

}  // namespace backfill::kube
