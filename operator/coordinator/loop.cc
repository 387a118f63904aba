#include "operator/coordinator/loop.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>

namespace backfill::coordinator {
namespace {

constexpr int kRest = 9;  // times as long as the last settling took
constexpr Duration kLongestRest = std::chrono::milliseconds(5);

}  // namespace

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
  Time settle_at = std::chrono::steady_clock::now();  // at the latest
  Time rest_until = settle_at;
  while (!stop.stop_requested()) {
    std::deque<std::function<void()>> bunch;
    {
      MutexLock l(mu_);
      wake_.wait_until(mu_, stop, settle_at, [this]() REQUIRES(mu_) { return !queue_.empty(); });
      bunch.swap(queue_);
    }
    for (const auto& task : bunch) task();
    const Time began = std::chrono::steady_clock::now();
    if (began < rest_until) {
      settle_at = rest_until;
      continue;
    }
    settle_();
    const Time ended = std::chrono::steady_clock::now();
    rest_until = ended + std::min(kRest * (ended - began), kLongestRest);
    settle_at = ended + tick_;
  }
}

}  // namespace backfill::coordinator
