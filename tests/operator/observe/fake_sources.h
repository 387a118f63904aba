#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "operator/observe/answers.h"
#include "operator/observe/source_factory.h"

namespace backfill::observe {

// Sources with levers. A PrometheusQuery's text is its name. Thread-safe.
class FakeSources final : public SourceFactory {
 public:
  explicit FakeSources(const Clock& clock) : clock_(clock) {}

  void Set(const std::string& query, double value) {
    MutexLock l(mu_);
    states_[query].value = value;
  }
  void Fail(const std::string& query, bool fails = true) {
    MutexLock l(mu_);
    states_[query].fails = fails;
  }
  // Who asks waits, until Release() or a stop.
  void Hang(const std::string& query) {
    MutexLock l(mu_);
    states_[query].hangs = true;
  }
  void Release(const std::string& query) {
    {
      MutexLock l(mu_);
      states_[query].hangs = false;
    }
    changed_.notify_all();
  }

  [[nodiscard]] int asked(const std::string& query) const {
    MutexLock l(mu_);
    const auto it = states_.find(query);
    return it == states_.end() ? 0 : it->second.asked;
  }
  // Until it was asked so often in all. False: not in time.
  [[nodiscard]] bool AwaitAsked(const std::string& query, int times) {
    MutexLock l(mu_);
    return changed_.wait_for(mu_, std::chrono::seconds(10),
                             [&]() REQUIRES(mu_) { return states_[query].asked >= times; });
  }
  [[nodiscard]] int most_at_once() const {
    MutexLock l(mu_);
    return most_at_once_;
  }

  Result<std::unique_ptr<Source>> Make(const Query& query) override {
    const std::string& name = std::get<PrometheusQuery>(query).query;
    if (name == "invalid") return Error{ErrorCode::kInvalid, "query: makes no sense"};
    return std::unique_ptr<Source>(std::make_unique<FakeSource>(*this, name));
  }

 private:
  struct State {
    double value = 0;
    bool fails = false, hangs = false;
    int asked = 0;
  };
  class FakeSource final : public Source {
   public:
    FakeSource(FakeSources& all, std::string name) : all_(all), name_(std::move(name)) {}
    Reply Ask(Time, const std::stop_token& stop) override { return all_.Ask(name_, stop); }

   private:
    FakeSources& all_;
    const std::string name_;
  };

  Reply Ask(const std::string& name, const std::stop_token& stop) {
    MutexLock l(mu_);
    most_at_once_ = std::max(most_at_once_, ++at_once_);
    ++states_[name].asked;
    changed_.notify_all();
    changed_.wait(mu_, stop, [&]() REQUIRES(mu_) { return !states_[name].hangs; });
    --at_once_;
    const State& state = states_[name];
    return state.fails ? ProviderFailed(clock_.Steady(), "is down")
                       : ValueAt(state.value, clock_.Steady());
  }

  const Clock& clock_;
  mutable Mutex mu_;
  std::condition_variable_any changed_;
  std::map<std::string, State> states_ GUARDED_BY(mu_);
  int at_once_ GUARDED_BY(mu_) = 0;
  int most_at_once_ GUARDED_BY(mu_) = 0;
};

}  // namespace backfill::observe
