#include "tests/worker/model_service.h"

#include <algorithm>
#include <chrono>
#include <cstdio>

namespace backfill::fakes {
namespace {

using Seconds = std::chrono::duration<double>;

constexpr double kLongestWait = 2;
// Of a process that was stopped for longer, what would have come before is left out.
constexpr Duration kLongestStep = std::chrono::seconds(10);

Duration FromSeconds(double seconds) {
  return std::chrono::duration_cast<Duration>(Seconds(seconds));
}

std::string Line(const char* name, double value) {
  char text[128];
  std::snprintf(text, sizeof text, "%s %.9g\n", name, value);
  return text;
}

std::string Counter(const std::string& name, std::uint64_t value) {
  return name + " " + std::to_string(value) + "\n";
}

}  // namespace

std::optional<Duration> ModelService::Arrive(Time now, int status) {
  Advance(now);
  return Take(status);
}

void ModelService::Set(const Load& load, Time now) {
  Advance(now);
  const bool begins = load_.foreground <= 0;
  load_ = load;
  load_.foreground = std::min(load_.foreground, kMostForeground);
  if (begins) next_foreground_ = now;
}

void ModelService::Advance(Time now) {
  if (!now_ || now - *now_ > kLongestStep) {
    if (now_) Work(now);
    now_ = next_foreground_ = now;
  }
  if (load_.foreground > 0) {
    std::exponential_distribution<double> between(load_.foreground);
    while (next_foreground_ <= now) {
      Work(next_foreground_);
      (void)Take(200);
      next_foreground_ += FromSeconds(between(random_));
    }
  }
  Work(now);
}

void ModelService::Work(Time until) {
  if (until <= *now_) return;
  const double passed = Seconds(until - *now_).count();
  queue_ = load_.capacity > 0 ? std::max(0.0, queue_ - passed * load_.capacity) : 0;
  now_ = until;
}

std::optional<Duration> ModelService::Take(int status) {
  if (Wait() > kLongestWait) {
    ++unavailable_;
    return std::nullopt;
  }
  if (load_.capacity > 0) queue_ += std::exponential_distribution<double>(1)(random_);
  const Duration latency = load_.latency + FromSeconds(Wait());
  const double seconds = Seconds(latency).count();
  (status < 400 ? ok_ : status < 500 ? refused_by_client_error_ : unavailable_) += 1;
  const auto* bound = std::ranges::lower_bound(kBounds, seconds);
  if (bound != kBounds.end()) ++at_most_[static_cast<std::size_t>(bound - kBounds.begin())];
  ++answered_;
  seconds_ += seconds;
  return latency;
}

std::string ModelService::Metrics(Time now) {
  Advance(now);
  std::string text = "# TYPE http_requests_total counter\n";
  text += Counter("http_requests_total{code=\"200\"}", ok_);
  text += Counter("http_requests_total{code=\"422\"}", refused_by_client_error_);
  text += Counter("http_requests_total{code=\"503\"}", unavailable_);
  text += "# TYPE http_request_duration_seconds histogram\n";
  std::uint64_t so_far = 0;
  for (std::size_t i = 0; i < kBounds.size(); ++i) {
    so_far += at_most_[i];
    char bound[32];
    std::snprintf(bound, sizeof bound, "%g", kBounds[i]);
    text +=
        Counter("http_request_duration_seconds_bucket{le=\"" + std::string(bound) + "\"}", so_far);
  }
  text += Counter("http_request_duration_seconds_bucket{le=\"+Inf\"}", answered_);
  text += Line("http_request_duration_seconds_sum", seconds_);
  text += Counter("http_request_duration_seconds_count", answered_);
  text += "# TYPE service_queue_seconds gauge\n";
  text += Line("service_queue_seconds", Wait());
  text += "# TYPE service_latency_seconds gauge\n";
  text += Line("service_latency_seconds", Wait() + Seconds(load_.latency).count());
  return text;
}

}  // namespace backfill::fakes
