#include "operator/throttle/budget_watch.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/utf8.h"

namespace backfill::throttle {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kRecent = 3;
constexpr std::size_t kMaxDetail = 200;  // bytes
// A sample is new if its time has advanced by more, or by half of the time between two questions.
constexpr Duration kAdvance = 500ms;
// Clocks of others may be ahead by so much without a word.
constexpr Duration kClockSkew = 5s;
// Older than that is old; keeps arithmetic on times in range, whatever a source says.
constexpr Duration kOldest = std::chrono::hours(24 * 30);
// A metric that is off by so much is not the metric.
constexpr double kImplausible = 1000;
constexpr int kMaxCount = 1'000'000;

bool Plausible(const Budget& budget, double value) {
  const double ideal = budget.ideal.value_or(budget.direction == Direction::kMin ? 1 : 0);
  return value >= 0 && value <= kImplausible * std::max(budget.bound, ideal);
}

void CountUp(int& count) { count = std::min(count + 1, kMaxCount); }

// A sample that was not there at the last tick; nullopt: the one that is known, or an older one.
std::optional<Time> NewSampleTime(Time said, const Timing& timing, BudgetMemory& memory, Time now) {
  const bool known = memory.said == said;
  memory.said = said;
  if (known) return std::nullopt;
  if (said > now + kClockSkew) ++memory.from_the_future;
  const Time sampled = std::clamp(said, now - kOldest, now);
  const Duration advance = std::min<Duration>(kAdvance, timing.interval / 2);
  if (memory.sampled && sampled <= *memory.sampled + advance) return std::nullopt;
  return sampled;
}

void Accept(const Budget& budget, std::optional<double> value, double pressure, Time sampled,
            BudgetMemory& memory) {
  memory.value = value;
  memory.pressure = pressure;
  memory.sampled = sampled;
  memory.recent.push_back(pressure);
  if (memory.recent.size() > kRecent) memory.recent.erase(memory.recent.begin());
  if (pressure >= CriticalPressure(budget)) {
    CountUp(memory.critical_in_a_row);
  } else {
    memory.critical_in_a_row = 0;
  }
  if (pressure < budget.target) {
    CountUp(memory.good_in_a_row);
  } else {
    memory.good_in_a_row = 0;
  }
}

MetricState StateByAge(const Timing& timing, Duration age) {
  if (age > StaleAfter(timing)) return MetricState::kStale;
  if (age > 2 * timing.scrape_interval + timing.delay) return MetricState::kLate;
  return MetricState::kFresh;
}

struct Said {
  MetricState unusable = MetricState::kFresh;  // kFresh: it is a sample
  std::optional<double> value = std::nullopt;  // unset: no traffic, which is pressure 0
  bool no_traffic = false;
};

Said Understand(const Budget& budget, const Observation& said) {
  const auto no_traffic = [&](MetricState state) {
    if (budget.on_no_traffic == OnNoTraffic::kZero) return Said{.no_traffic = true};
    return Said{.unusable = state, .no_traffic = true};
  };
  switch (said.answer) {
    case Answer::kValue:
      if (!std::isfinite(said.value)) return no_traffic(MetricState::kNaN);
      return {.value = said.value};
    case Answer::kNoData:
      return no_traffic(MetricState::kNoData);
    case Answer::kNotANumber:
      return no_traffic(MetricState::kNaN);
    case Answer::kError:
      return {.unusable = MetricState::kError};
  }
  return {.unusable = MetricState::kError};
}

}  // namespace

BudgetReading Read(const Budget& budget, const Observation& observation, BudgetMemory& memory,
                   Time now) {
  BudgetReading reading;
  reading.detail = CutToBytes(observation.detail, kMaxDetail);
  const Said said = Understand(budget, observation);
  reading.no_traffic = said.no_traffic;
  if (said.unusable == MetricState::kFresh) {
    reading.detail.clear();
    const bool plausible = !said.value || Plausible(budget, *said.value);
    if (!plausible) reading.detail = "the last value is implausible";
    if (const auto sampled = NewSampleTime(observation.time, budget.timing, memory, now)) {
      if (plausible) {
        Accept(budget, said.value, said.value ? Pressure(budget, *said.value) : 0, *sampled,
               memory);
        reading.fresh_sample = true;
      } else {
        ++memory.discarded;
      }
    }
  }
  if (memory.sampled) reading.age = now - *memory.sampled;
  if (said.unusable != MetricState::kFresh) {
    reading.state = said.unusable;
  } else if (reading.age) {
    reading.state = StateByAge(budget.timing, *reading.age);
  }
  reading.usable = reading.state == MetricState::kFresh || reading.state == MetricState::kLate;
  if (!reading.usable) {
    memory.good_in_a_row = 0;
    return reading;
  }
  reading.pressure = memory.pressure.value_or(0);
  reading.worst = reading.pressure;
  for (const double p : memory.recent) reading.worst = std::max(reading.worst, p);
  return reading;
}

}  // namespace backfill::throttle
