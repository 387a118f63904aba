#include "operator/observe/poll_schedule.h"

#include <algorithm>
#include <cmath>

namespace backfill::observe {
namespace {

Duration Part(Duration whole, double part) {
  return Duration(static_cast<Duration::rep>(static_cast<double>(whole.count()) * part));
}

}  // namespace

bool PollSchedule::MayAsk(const Provider& provider) const {
  return provider.in_flight < (provider.failing ? 1 : options_.max_per_provider);
}

void PollSchedule::Reschedule(Id id, Question& question, Time due) {
  due_.erase({question.due, id});
  question.due = due;
  due_.emplace(due, id);
}

void PollSchedule::Add(Id id, const std::string& provider, Duration interval, Time now) {
  const auto at = providers_.try_emplace(provider).first;
  at->second.questions.insert(id);
  questions_.emplace(
      id, Question{.provider = at, .interval = interval, .due = now, .asked = now - interval});
  due_.emplace(now, id);
}

void PollSchedule::SetInterval(Id id, Duration interval, Time now) {
  const auto it = questions_.find(id);
  if (it == questions_.end()) return;
  Question& question = it->second;
  question.interval = interval;
  if (question.in_flight || question.failures > 0) return;
  const Time due = std::max(now, question.asked + interval);
  if (due < question.due) Reschedule(id, question, due);
}

void PollSchedule::Release(Providers::iterator provider) {
  --in_flight_;
  --provider->second.in_flight;
}

void PollSchedule::Remove(Id id) {
  const auto it = questions_.find(id);
  if (it == questions_.end()) return;
  const Question& question = it->second;
  const auto provider = question.provider;
  provider->second.questions.erase(id);
  if (question.in_flight) {
    removed_.emplace(id, provider);
  } else {
    due_.erase({question.due, id});
    if (provider->second.questions.empty() && provider->second.in_flight == 0)
      providers_.erase(provider);
  }
  questions_.erase(it);
}

std::optional<PollSchedule::Id> PollSchedule::Next(Time now) {
  if (in_flight_ >= options_.max_in_flight) return std::nullopt;
  for (const auto& [due, id] : due_) {
    if (due > now) break;
    Question& question = questions_.at(id);
    if (!MayAsk(question.provider->second)) continue;
    ++in_flight_;
    ++question.provider->second.in_flight;
    question.in_flight = true;
    question.asked = now;
    const Id next = id;  // the entry goes away
    due_.erase({due, next});
    return next;
  }
  return std::nullopt;
}

void PollSchedule::Recover(Provider& provider, Time now, double chance) {
  for (const Id other : provider.questions) {
    Question& question = questions_.at(other);
    if (question.failures == 0 || question.in_flight) continue;
    chance = std::fmod(chance + 0.618034, 1);  // well spread, from one random number
    const Time soon = now + Part(options_.first_retry, chance);
    if (soon < question.due) Reschedule(other, question, soon);
  }
}

void PollSchedule::Done(Id id, bool provider_failed, Time now, double chance) {
  if (const auto gone = removed_.find(id); gone != removed_.end()) {
    const auto provider = gone->second;
    removed_.erase(gone);
    Release(provider);
    if (provider->second.questions.empty() && provider->second.in_flight == 0)
      providers_.erase(provider);
    return;
  }
  const auto it = questions_.find(id);
  if (it == questions_.end() || !it->second.in_flight) return;
  Question& question = it->second;
  Provider& provider = question.provider->second;
  Release(question.provider);
  question.in_flight = false;
  Time due;
  if (provider_failed) {
    provider.failing = true;
    const Duration most = std::min(options_.longest_retry,
                                   options_.first_retry * (1 << std::min(question.failures, 20)));
    ++question.failures;
    due = now + std::max(options_.shortest_retry, Part(most, chance));
  } else {
    question.failures = 0;
    // Not from the answer on: a slow provider would be asked less often than was wanted.
    due = std::max(
        now, question.asked + Part(question.interval, 1 + options_.jitter * (2 * chance - 1)));
    if (std::exchange(provider.failing, false)) Recover(provider, now, chance);
  }
  question.due = due;
  due_.emplace(due, id);
}

std::optional<Time> PollSchedule::NextDue() const {
  if (in_flight_ >= options_.max_in_flight) return std::nullopt;
  for (const auto& [due, id] : due_)
    if (MayAsk(questions_.at(id).provider->second)) return due;
  return std::nullopt;
}

}  // namespace backfill::observe
