#include "operator/kube/runtime/event_recorder.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "base/log.h"

namespace backfill::kube {
namespace {

// Whether the same write may succeed a little later.
bool IsWorthATry(ApiErrorKind kind) {
  switch (kind) {
    case ApiErrorKind::kUnavailable:
    case ApiErrorKind::kDeadline:
    case ApiErrorKind::kTooManyRequests:
    case ApiErrorKind::kUnauthenticated:  // a token that is being renewed
    case ApiErrorKind::kConflict:
      return true;
    case ApiErrorKind::kNotFound:
    case ApiErrorKind::kAlreadyExists:
    case ApiErrorKind::kGone:
    case ApiErrorKind::kInvalid:
    case ApiErrorKind::kForbidden:
    case ApiErrorKind::kTooLarge:
    case ApiErrorKind::kAborted:
    case ApiErrorKind::kInternal:
      return false;
  }
  return false;
}

}  // namespace

EventRecorder::EventRecorder(const Options& options, EventSink& sink, const Clock& clock,
                             MetricRegistry& metrics)
    : options_(options),
      sink_(sink),
      clock_(clock),
      metrics_(metrics),
      aggregation_(options.aggregation) {}

void EventRecorder::Start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

void EventRecorder::Stop() {
  {
    MutexLock l(mu_);
    if (!stopped_) drain_until_ = clock_.Steady() + options_.drain;
    stopped_ = true;
  }
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void EventRecorder::Record(Event event) {
  event = Bounded(std::move(event));
  {
    MutexLock l(mu_);
    if (!stopped_ && queue_.size() < options_.max_queued) {
      queue_.push_back(std::move(event));
      changed_.notify_one();
      return;
    }
  }
  metrics_.full.Increment();
}

void EventRecorder::Run(const std::stop_token& stop) {
  for (;;) {
    std::optional<Event> event;
    {
      MutexLock l(mu_);
      changed_.wait(mu_, stop, [this]() REQUIRES(mu_) { return !queue_.empty(); });
      const bool late = stopped_ && clock_.Steady() >= drain_until_;
      if (queue_.empty() || late) break;
      event = std::move(queue_.front());
      queue_.pop_front();
    }
    auto write = aggregation_.OnEvent(*event, clock_.Steady(), clock_.Wall());
    if (write) {
      Send(std::move(*write), stop);
    } else {
      metrics_.spam.Increment();
    }
  }
  MutexLock l(mu_);
  metrics_.full.Add(static_cast<double>(queue_.size()));  // there was no time for them
  queue_.clear();
}

void EventRecorder::Send(EventWrite write, const std::stop_token& stop) {
  for (int attempt = 1;; ++attempt) {
    // A stop must not take back what is under way: the deadline ends it soon enough.
    const ApiResult<Ok> written = sink_.Write(write, RequestDeadline(), {});
    if (written.ok() || written.error().kind == ApiErrorKind::kAlreadyExists) {
      return aggregation_.OnWritten(write);
    }
    const ApiError& error = written.error();
    if (write.kind == EventWrite::Kind::kSeries && error.kind == ApiErrorKind::kNotFound) {
      write.kind = EventWrite::Kind::kCreate;  // events live for an hour
      if (attempt < options_.tries) continue;
    }
    if (!IsWorthATry(error.kind) || attempt >= options_.tries ||
        !WaitBefore(attempt, error, stop)) {
      metrics_.failed.Increment();
      Log(LogLevel::kWarning, "an event was not recorded",
          {{"namespace", write.ns},
           {"name", write.event.regarding.name},
           {"reason", write.event.reason},
           {"error", error.message}});
      return;
    }
  }
}

Time EventRecorder::RequestDeadline() const {
  MutexLock l(mu_);
  return std::min(clock_.Steady() + options_.request_timeout, drain_until_);
}

// False: there is no time for it.
bool EventRecorder::WaitBefore(int attempt, const ApiError& error, const std::stop_token& stop) {
  Duration wait = options_.first_wait * (1 << std::min(attempt - 1, 10));
  if (error.retry_after) wait = std::max<Duration>(wait, *error.retry_after);
  wait = std::min(wait, options_.longest_wait);
  MutexLock l(mu_);
  if (stopped_) return false;
  changed_.wait_for(mu_, stop, wait, [this]() REQUIRES(mu_) { return stopped_; });
  return !stopped_;
}

}  // namespace backfill::kube
