#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <limits>

#include "tests/operator/throttle/governor_fixture.h"

// What holds for every input, the hostile ones included.
namespace backfill::throttle {
namespace {

double AnyNumber() {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  return *rc::gen::oneOf(rc::gen::map(rc::gen::inRange(0, 40'000), [](int x) { return x / 100.0; }),
                         rc::gen::element(0.0, -0.0, -1.0, kInf, -kInf, kNan, 1e300, 5e-324, 1e9));
}

std::optional<double> MaybeNumber() {
  return *rc::gen::inRange(0, 4) == 0 ? std::optional(AnyNumber()) : std::nullopt;
}

Duration AnyStep() {
  return *rc::gen::weightedOneOf<Duration>(
      {{8, rc::gen::just(Duration(10s))},
       {2, rc::gen::map(rc::gen::inRange(-20'000, 60'000),
                        [](int ms) { return Duration(std::chrono::milliseconds(ms)); })},
       {1, rc::gen::element(Duration(0), Duration(1h), Duration(-1h), Duration::max() / 4,
                            Duration::min() / 4)}});
}

Observation AnyObservation(Time now) {
  Observation said;
  said.answer = *rc::gen::weightedElement<Answer>(
      {{8, Answer::kValue}, {1, Answer::kNoData}, {1, Answer::kNotANumber}, {1, Answer::kError}});
  said.value = AnyNumber();
  said.time = *rc::gen::weightedElement<Time>(
      {{8, now}, {1, now - 30s}, {1, now - 100s}, {1, Time::max()}, {1, Time::min()}});
  said.detail = "";
  return said;
}

GovernorOptions AnyOptions() {
  GovernorOptions options = OneBudget();
  options.floor = *rc::gen::element(0.0, 5.0, 600.0);
  options.initial.reset();
  options.budgets.resize(*rc::gen::inRange<std::size_t>(0, 4));
  for (std::size_t i = 0; i < options.budgets.size(); ++i) {
    Budget& b = options.budgets[i];
    b = BudgetNamed("b" + std::to_string(i));
    b.required = *rc::gen::arbitrary<bool>();
    b.enforce = *rc::gen::weightedElement<bool>({{5, true}, {1, false}});
    b.on_missing = *rc::gen::element(OnMissing::kHold, OnMissing::kFloor, OnMissing::kFreeze,
                                     OnMissing::kIgnore);
    b.on_no_traffic =
        *rc::gen::element(OnNoTraffic::kMissing, OnNoTraffic::kZero, OnNoTraffic::kProbe);
    if (*rc::gen::arbitrary<bool>()) {
      b.direction = Direction::kMin;
      b.critical = 50;
      b.ideal = 200;
    }
  }
  options.at_floor = *rc::gen::element(AtFloor::kYield, AtFloor::kKeep);
  return options;
}

Inputs AnyInputs(std::size_t budgets, Time now) {
  Inputs inputs;
  for (std::size_t i = 0; i < budgets; ++i) inputs.observations.push_back(AnyObservation(now));
  inputs.sent = AnyNumber();
  inputs.records_wait = *rc::gen::arbitrary<bool>();
  inputs.inner_cut = *rc::gen::arbitrary<bool>();
  inputs.paused = *rc::gen::inRange(0, 10) == 0;
  inputs.blackout = *rc::gen::inRange(0, 10) == 0;
  inputs.cap = MaybeNumber();
  inputs.window_limit = MaybeNumber();
  if (*rc::gen::inRange(0, 8) == 0)
    inputs.pin = Pin{.records_per_second = AnyNumber(), .break_glass = *rc::gen::arbitrary<bool>()};
  if (*rc::gen::inRange(0, 8) == 0) inputs.closes_in = AnyStep();
  return inputs;
}

Time Later(Time now, Duration step) {
  const auto far = Duration(std::numeric_limits<Duration::rep>::max() / 4);
  return std::clamp(now.time_since_epoch(), -far, far) + step + Time{};
}

RC_GTEST_PROP(GovernorPropertyTest, WhateverIsSaidTheRateIsANumberWithinTheLimit, ()) {
  const GovernorOptions options = AnyOptions();
  Governor governor(options);
  Time now{1h};
  const int steps = *rc::gen::inRange(1, 60);
  for (int i = 0; i < steps; ++i) {
    now = Later(now, AnyStep());
    const Inputs inputs = AnyInputs(options.budgets.size(), now);
    const Decision d = governor.Step(inputs, now);
    RC_ASSERT(d.rate >= 0);
    RC_ASSERT(d.rate <= options.max_records_per_second);
    if (inputs.cap && *inputs.cap >= 0) {
      RC_ASSERT(d.rate <= *inputs.cap);
    }
    if (inputs.paused || inputs.blackout) {
      RC_ASSERT(d.rate == 0);
    }
    RC_ASSERT(std::isfinite(d.governed) && std::isfinite(d.pressure));
    RC_ASSERT(std::isfinite(d.last_good.value_or(0)) && std::isfinite(d.ceiling.value_or(0)));
    RC_ASSERT(d.budgets.size() == options.budgets.size());
    for (const BudgetView& view : d.budgets)
      RC_ASSERT(std::isfinite(view.pressure.value_or(0)) && view.age.value_or(0s) >= 0s);
    RC_ASSERT(governor.memory().sent.entries().size() <= 300);
  }
}

RC_GTEST_PROP(GovernorPropertyTest, FromTheSameMemoryComesTheSameFuture, ()) {
  const GovernorOptions options = AnyOptions();
  Governor one(options);
  Time now{1h};
  const int before = *rc::gen::inRange(0, 30);
  for (int i = 0; i < before; ++i) {
    now = Later(now, AnyStep());
    one.Step(AnyInputs(options.budgets.size(), now), now);
  }
  Governor other(options, one.memory());
  for (int i = 0; i < 20; ++i) {
    now = Later(now, AnyStep());
    const Inputs inputs = AnyInputs(options.budgets.size(), now);
    RC_ASSERT(one.Step(inputs, now) == other.Step(inputs, now));
  }
}

// From any history: a tick with a required metric missing raises nothing, but for the end of a
// pause or a hold that was over, and probes.
RC_GTEST_PROP(GovernorPropertyTest, AMissingMetricNeverRaises, ()) {
  GovernorOptions options = OneBudget();
  options.budgets.push_back(BudgetNamed("other"));
  Governor governor(options);
  Time now{1h};
  Inputs inputs;
  inputs.records_wait = true;
  double rate = InitialRate(options);
  const int steps = *rc::gen::inRange(10, 80);
  for (int i = 0; i < steps; ++i) {
    now += 10s;
    const bool missing = *rc::gen::inRange(0, 3) == 0;
    inputs.observations.assign(2, {.answer = Answer::kValue, .time = now, .detail = ""});
    inputs.observations[0].value = *rc::gen::inRange(0, 250);
    inputs.observations[1].value = *rc::gen::inRange(0, 110);
    if (missing)
      inputs.observations[1].answer =
          *rc::gen::element(Answer::kNoData, Answer::kNotANumber, Answer::kError);
    inputs.sent = rate;
    const double before = governor.memory().rate;
    const Decision d = governor.Step(inputs, now);
    if (missing) {
      RC_ASSERT(d.governed <= std::max(before, options.floor));
    }
    rate = d.rate;
  }
}

RC_GTEST_PROP(GovernorPropertyTest, MorePressureNeverCutsLess, ()) {
  const auto cut = [](double value) {
    GovernorOptions options = OneBudget();
    options.initial = 300;
    Governor governor(options);
    Inputs inputs{.observations =
                      {{.answer = Answer::kValue, .value = value, .time = Time(1h), .detail = ""}},
                  .sent = 300};
    return governor.Step(inputs, Time(1h)).rate;
  };
  const double a = *rc::gen::inRange(0, 400'00) / 100.0;
  const double b = *rc::gen::inRange(0, 400'00) / 100.0;
  RC_ASSERT(cut(std::max(a, b)) <= cut(std::min(a, b)));
}

RC_GTEST_PROP(GovernorPropertyTest, NeverMoreThanDoublesInADeadTime, ()) {
  Governor governor(OneBudget());
  Time now{1h};
  std::vector<double> rates{10};
  Inputs inputs{.observations = {{}}, .records_wait = true};
  for (int i = 0; i < 60; ++i) {
    now += 10s;
    inputs.observations[0] = {.answer = Answer::kValue,
                              .value = *rc::gen::inRange(0, 120) * 1.0,
                              .time = now,
                              .detail = ""};
    inputs.sent = rates.back();
    rates.push_back(governor.Step(inputs, now).rate);
    const double before = rates[rates.size() > 9 ? rates.size() - 9 : 0];
    RC_ASSERT(rates.back() <= 2 * before + 1 + 1e-9);
  }
}

}  // namespace
}  // namespace backfill::throttle
