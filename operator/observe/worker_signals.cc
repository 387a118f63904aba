#include "operator/observe/worker_signals.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "operator/observe/answers.h"
#include "operator/observe/histogram_quantile.h"

namespace backfill::observe {
namespace {

// Totals that fell begin anew.
bool Fell(const WorkerTotals& before, const WorkerTotals& now) {
  bool fell = now.attempts < before.attempts || now.retries < before.retries;
  for (std::size_t i = 0; i < kLatencyBuckets; ++i) fell |= now.latency[i] < before.latency[i];
  return fell;
}

double LatencyQuantile(double q, const std::array<std::uint64_t, kLatencyBuckets>& counts) {
  std::array<Bucket, kLatencyBuckets> buckets;
  double sum = 0;
  for (std::size_t i = 0; i < kLatencyBuckets; ++i) {
    sum += static_cast<double>(counts[i]);
    const bool last = i + 1 == kLatencyBuckets;
    buckets[i] = {
        last ? std::numeric_limits<double>::infinity() : std::ldexp(0.0005, static_cast<int>(i)),
        sum};
  }
  return HistogramQuantile(q, buckets);
}

}  // namespace

WorkerSignals::Step& WorkerSignals::Current(Time now) {
  heard_ = std::max(heard_.value_or(now), now);
  if (steps_.empty() || now - steps_.back().begin >= kStep) steps_.push_back({.begin = now});
  while (now - steps_.front().begin > kSpan) steps_.pop_front();
  return steps_.back();
}

void WorkerSignals::Report(const std::string& worker, const WorkerTotals& totals, Time now) {
  MutexLock l(mu_);
  Step& step = Current(now);
  const auto it = workers_.find(worker);
  if (it == workers_.end()) {
    if (workers_.size() < kMaxWorkers) workers_.emplace(worker, totals);
    return;
  }
  const WorkerTotals before = std::exchange(it->second, totals);
  if (Fell(before, totals)) return;
  step.attempts += totals.attempts - before.attempts;
  step.retries += totals.retries - before.retries;
  for (std::size_t i = 0; i < kLatencyBuckets; ++i)
    step.latency[i] += totals.latency[i] - before.latency[i];
}

void WorkerSignals::ReportFailed(std::uint64_t records, Time now) {
  MutexLock l(mu_);
  Step& step = Current(now);
  const auto before = std::exchange(failed_, records);
  if (before && records > *before) step.failed += records - *before;
}

void WorkerSignals::Forget(const std::string& worker) {
  MutexLock l(mu_);
  workers_.erase(worker);
}

Reply WorkerSignals::Read(WorkerSignal signal, Duration window, Time now) const {
  Step sum{};
  std::optional<Time> heard;
  {
    MutexLock l(mu_);
    heard = heard_;
    for (const Step& step : steps_) {
      if (now - step.begin > window) continue;
      sum.attempts += step.attempts;
      sum.retries += step.retries;
      sum.failed += step.failed;
      for (std::size_t i = 0; i < kLatencyBuckets; ++i) sum.latency[i] += step.latency[i];
    }
  }
  if (!heard) return NoData(now, "no worker has reported yet");
  if (signal == WorkerSignal::kLatencyP99) {
    const double p99 = LatencyQuantile(0.99, sum.latency);
    return std::isfinite(p99) ? ValueAt(p99, *heard)
                              : NotANumber(now, "no attempt was answered within the window");
  }
  if (sum.attempts == 0) return NotANumber(now, "nothing was sent within the window");
  const double ratio =
      static_cast<double>(sum.retries + sum.failed) / static_cast<double>(sum.attempts);
  return ValueAt(std::min(ratio, 1.0), *heard);  // a failure may be told after its attempt
}

std::shared_ptr<WorkerSignals> SignalBoard::Of(const std::string& owner) {
  MutexLock l(mu_);
  auto& signals = signals_[owner];
  if (signals == nullptr) signals = std::make_shared<WorkerSignals>();
  return signals;
}

std::shared_ptr<const WorkerSignals> SignalBoard::Find(const std::string& owner) const {
  MutexLock l(mu_);
  const auto it = signals_.find(owner);
  return it == signals_.end() ? nullptr : it->second;
}

void SignalBoard::Drop(const std::string& owner) {
  MutexLock l(mu_);
  signals_.erase(owner);
}

WorkersSource::WorkersSource(WorkersQuery query, const SignalBoard& board, const Clock& clock)
    : query_(std::move(query)), board_(board), clock_(clock) {}

Reply WorkersSource::Ask(Time, const std::stop_token&) {
  const Time now = clock_.Steady();
  const auto signals = board_.Find(query_.owner);
  return signals == nullptr ? NoData(now, "no worker has reported yet")
                            : signals->Read(query_.signal, query_.window, now);
}

}  // namespace backfill::observe
