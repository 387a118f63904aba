#include "operator/coordinator/loop.h"

#include <pthread.h>

namespace backfill::coordinator {

Loop::Loop(std::string name, Duration tick, std::function<void()> settle)
    : name_(std::move(name)), tick_(tick), settle_(std::move(settle)) {}

Loop::~Loop() { Stop(); }

void Loop::Start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
  pthread_setname_np(thread_.native_handle(), name_.c_str());
}

void Loop::Stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
  std::deque<std::function<void()>>
      dropped;  // destroyed after the lock: whoever waits for one of them is told
  {
    MutexLock l(mu_);
    stopped_ = true;
    dropped.swap(queue_);
  }
}

bool Loop::Post(std::function<void()> task) {
  {
    MutexLock l(mu_);
    if (stopped_ || queue_.size() >= kMaxQueue) return false;
    queue_.push_back(std::move(task));
  }
  wake_.notify_one();
  return true;
}

void Loop::Run(const std::stop_token& stop) {
  auto next_tick = std::chrono::steady_clock::now();
  while (!stop.stop_requested()) {
    std::deque<std::function<void()>> bunch;
    {
      MutexLock l(mu_);
      wake_.wait_until(mu_, stop, next_tick, [this]() REQUIRES(mu_) { return !queue_.empty(); });
      bunch.swap(queue_);
    }
    for (const auto& task : bunch) task();
    settle_();
    next_tick = std::chrono::steady_clock::now() + tick_;
  }
}

}  // namespace backfill::coordinator
