#include "operator/observe/observer.h"

#include <fmt/format.h>

#include <algorithm>

#include "operator/observe/answers.h"

namespace backfill::observe {
namespace {

// Nothing is due: whoever adds something wakes us.
constexpr Duration kLongWait = std::chrono::hours(1);

}  // namespace

Observer::Observer(SourceFactory& sources, const Clock& clock, const ObserverOptions& options,
                   OnObserved on_observed)
    : sources_(sources),
      clock_(clock),
      options_(options),
      on_observed_(std::move(on_observed)),
      schedule_(options.polling),
      random_(options.seed) {}

Observer::~Observer() { Stop(); }

void Observer::Start() {
  if (!threads_.empty()) return;
  for (int i = 0; i < options_.polling.max_in_flight; ++i)
    threads_.emplace_back([this](const std::stop_token& stop) { Run(stop); });
}

void Observer::Stop() {
  for (std::jthread& thread : threads_) thread.request_stop();
  threads_.clear();  // joins
}

void Observer::Run(const std::stop_token& stop) {
  while (const QuestionPtr question = Take(stop)) {
    Finish(question, question->source->Ask(clock_.Steady() + question->timeout, stop));
  }
}

Observer::QuestionPtr Observer::Take(const std::stop_token& stop) {
  MutexLock l(mu_);
  while (!stop.stop_requested()) {
    const Time now = clock_.Steady();
    if (const auto id = schedule_.Next(now)) {
      ++asked_;
      return by_id_.at(*id);
    }
    const auto due = schedule_.NextDue();
    const std::uint64_t seen = wakes_;
    changed_.wait_for(mu_, stop, due ? std::min<Duration>(*due - now, kLongWait) : kLongWait,
                      [&]() REQUIRES(mu_) { return wakes_ != seen; });
  }
  return nullptr;
}

void Observer::Finish(const QuestionPtr& question, Reply reply) {
  std::vector<std::string> owners;
  {
    MutexLock l(mu_);
    const double chance = std::uniform_real_distribution<double>(0, 1)(random_);
    schedule_.Done(question->id, reply.provider_failed, clock_.Steady(), chance);
    failed_ += reply.provider_failed ? 1 : 0;
    question->latest = std::move(reply.observation);
    question->partitions = std::move(reply.partitions);
    for (const auto& [owner, interval] : question->watchers) owners.push_back(owner);
    ++wakes_;
  }
  changed_.notify_all();
  if (!on_observed_) return;
  std::ranges::sort(owners);
  owners.erase(std::ranges::unique(owners).begin(), owners.end());
  for (const std::string& owner : owners) on_observed_(owner);
}

Observer::QuestionPtr Observer::Find(const Query& query, Duration interval, Time now) {
  std::string key = KeyOf(query);
  if (const auto it = by_key_.find(key); it != by_key_.end()) return it->second;
  auto question = std::make_shared<Question>();
  question->id = ++last_id_;
  question->key = key;
  question->timeout = TimeoutOf(query);
  auto source = sources_.Make(query);
  if (source.ok()) {
    question->source = std::move(*source);
    schedule_.Add(question->id, ProviderOf(query), interval, now);
  } else {
    question->latest = BadQuestion(now, source.error().message).observation;
  }
  by_key_.emplace(std::move(key), question);
  by_id_.emplace(question->id, question);
  return question;
}

void Observer::AdaptInterval(const Question& question, Time now) {
  Duration shortest = Duration::max();
  for (const auto& [owner, interval] : question.watchers) shortest = std::min(shortest, interval);
  schedule_.SetInterval(question.id, std::max(shortest, options_.shortest_interval), now);
}

void Observer::Leave(const QuestionPtr& question, const std::string& owner, Time now) {
  auto& watchers = question->watchers;
  const auto it = std::ranges::find(watchers, owner, [](const auto& w) { return w.first; });
  if (it != watchers.end()) watchers.erase(it);
  if (!watchers.empty()) return AdaptInterval(*question, now);
  schedule_.Remove(question->id);
  by_id_.erase(question->id);
  by_key_.erase(question->key);
}

Status Observer::Watch(const std::string& owner, const std::vector<Wanted>& wanted) {
  if (wanted.size() > options_.max_per_owner) {
    return Error{
        ErrorCode::kUnavailable,
        fmt::format("at most {} metrics of one backfill are observed", options_.max_per_owner)};
  }
  MutexLock l(mu_);
  const Time now = clock_.Steady();
  const auto before = owners_.find(owner);
  const std::size_t had = before == owners_.end() ? 0 : before->second.size();
  if (by_key_.size() + wanted.size() > options_.max_questions + had) {
    return Error{ErrorCode::kUnavailable,
                 fmt::format("{} metrics are observed, and no more are", by_key_.size())};
  }
  // First what is wanted, then what is not any more: what stays keeps what it has learned.
  std::vector<QuestionPtr> questions;
  for (const Wanted& w : wanted) {
    const Duration interval = std::max(w.interval, options_.shortest_interval);
    const QuestionPtr question = Find(w.query, interval, now);
    question->watchers.emplace_back(owner, interval);
    questions.push_back(question);
  }
  const std::vector<QuestionPtr> old =
      before == owners_.end() ? std::vector<QuestionPtr>() : before->second;
  for (const QuestionPtr& question : old) Leave(question, owner, now);
  for (const QuestionPtr& question : questions) AdaptInterval(*question, now);
  if (questions.empty()) {
    owners_.erase(owner);
  } else {
    owners_[owner] = std::move(questions);
  }
  ++wakes_;
  changed_.notify_all();
  return Ok{};
}

std::vector<throttle::Observation> Observer::Latest(const std::string& owner) const {
  MutexLock l(mu_);
  std::vector<throttle::Observation> latest;
  const auto it = owners_.find(owner);
  if (it == owners_.end()) return latest;
  for (const QuestionPtr& question : it->second) latest.push_back(question->latest);
  return latest;
}

std::vector<PartitionObservations> Observer::LatestPartitions(const std::string& owner) const {
  MutexLock l(mu_);
  std::vector<PartitionObservations> latest;
  const auto it = owners_.find(owner);
  if (it == owners_.end()) return latest;
  for (const QuestionPtr& question : it->second) latest.push_back(question->partitions);
  return latest;
}

ObserverFigures Observer::figures() const {
  MutexLock l(mu_);
  return {.questions = by_key_.size(),
          .in_flight = schedule_.in_flight(),
          .asked = asked_,
          .failed = failed_};
}

void Observer::Wake() {
  {
    MutexLock l(mu_);
    ++wakes_;
  }
  changed_.notify_all();
}

}  // namespace backfill::observe
