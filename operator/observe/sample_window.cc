#include "operator/observe/sample_window.h"

#include <utility>

namespace backfill::observe {
namespace {

// Samples closer than a window's 64th tell nothing more.
constexpr int kPieces = 64;

bool WentBack(const std::vector<double>& before, const std::vector<double>& now) {
  if (before.size() != now.size()) return true;
  for (std::size_t i = 0; i < now.size(); ++i)
    if (!(now[i] >= before[i])) return true;  // NaN, too
  return false;
}

}  // namespace

bool SampleWindow::Add(std::vector<double> counters, Time at) {
  const bool back = !samples_.empty() && WentBack(samples_.back().counters, counters);
  if (back) samples_.clear();
  // The newest one is always kept; the one before it makes place if it stands too close.
  const std::size_t n = samples_.size();
  if (n >= 2 && at - samples_[n - 2].at < window_ / kPieces) samples_.pop_back();
  samples_.push_back({at, std::move(counters)});
  // One sample from before the window stays, so that all of the window is covered.
  while (samples_.size() > 1 && samples_[1].at <= at - window_) samples_.pop_front();
  while (samples_.front().at < at - window_ * 3 / 2) samples_.pop_front();
  return !back;
}

std::optional<SampleWindow::Growth> SampleWindow::Grown() const {
  if (samples_.size() < 2) return std::nullopt;
  const Sample& first = samples_.front();
  const Sample& last = samples_.back();
  Growth growth{.counters = {}, .over = last.at - first.at};
  if (growth.over < window_ / 4 || growth.over <= Duration::zero()) return std::nullopt;
  for (std::size_t i = 0; i < last.counters.size(); ++i)
    growth.counters.push_back(last.counters[i] - first.counters[i]);
  return growth;
}

}  // namespace backfill::observe
