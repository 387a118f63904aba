#include "tests/operator/throttle/fleet.h"

#include <algorithm>
#include <cmath>

namespace backfill::throttle {

Fleet::Fleet(const Options& options, unsigned seed)
    : options_(options), random_(seed), share_(options.share, options.batch_size) {}

Duration Fleet::Delay() {
  return Duration(
      std::uniform_int_distribution<Duration::rep>(0, options_.max_delay.count())(random_));
}

int Fleet::Join(double capacity) {
  Worker w;
  w.session = {next_session_++};
  w.capacity = capacity;
  w.next_report = now_ + Delay();
  w.sent_at[0] = now_;  // Hello
  by_session_[w.session] = workers_.size();
  workers_.push_back(std::move(w));
  share_.Join(workers_.back().session, now_);
  return static_cast<int>(workers_.size()) - 1;
}

void Fleet::SetCapacity(int worker, double capacity) {
  workers_.at(index(worker)).capacity = capacity;
}

void Fleet::Leave(int worker) {
  Worker& w = workers_.at(index(worker));
  if (!w.connected) return;
  w.connected = false;
  w.reports.clear();
  w.grants.clear();
  share_.Leave(w.session);
}

void Fleet::Reconnect(int worker) {
  Leave(worker);
  Worker& w = workers_.at(index(worker));
  if (!w.alive) return;
  w.connected = true;
  w.partitioned = false;
  w.session = {next_session_++};
  by_session_[w.session] = index(worker);
  w.messages = w.accepted = 0;
  w.sent_at = {{0, now_}};
  const double rate = w.Rate(now_);
  share_.Join(w.session, now_);
  if (rate > 0) {
    share_.Adopt(w.session, rate, w.expires - now_, now_);
    allowed_ += rate;  // counted twice until the old stream's grant has expired: to the safe side
  }
}

void Fleet::Kill(int worker) {
  Worker& w = workers_.at(index(worker));
  w.alive = w.connected = false;
  share_.Forget(w.session);
}

void Fleet::Partition(int worker) { workers_.at(index(worker)).partitioned = true; }

void Fleet::SetRate(double records_per_second) {
  rate_ = records_per_second;
  share_.SetRate(records_per_second, now_);
}

void Fleet::Deliver(Worker& w) {
  while (!w.reports.empty() && w.reports.front().arrives <= now_) {
    w.accepted = w.reports.front().message;
    share_.OnDemand(w.session, w.reports.front().demand, now_);
    w.reports.pop_front();
  }
  while (!w.grants.empty() && w.grants.front().arrives <= now_) {
    const Grant& g = w.grants.front();
    w.rate = g.action.records_per_second;
    w.burst = g.action.burst;
    w.tokens = std::min(w.tokens, w.burst);
    w.obeyed = g.action.sequence;
    w.expires = w.sent_at.at(g.answers) + g.action.valid_for;
    w.sent_at.erase(w.sent_at.begin(), w.sent_at.find(g.answers));
    w.grants.pop_front();
  }
}

void Fleet::SendReport(Worker& w) {
  w.next_report = now_ + options_.report_period;
  w.sent_at[++w.messages] = now_;
  const double noise = std::uniform_real_distribution<double>(0.8, 1.2)(random_);
  const Time arrives =
      std::max(now_ + Delay(), w.reports.empty() ? now_ : w.reports.back().arrives);
  w.reports.push_back({arrives, w.messages, {w.capacity * noise, w.obeyed}});
}

void Fleet::Work(Worker& w) const {
  const double seconds = std::chrono::duration<double>(kStep).count();
  const double rate = w.Rate(now_);
  const double batch = options_.batch_size;
  w.tokens = rate > 0 ? std::min(w.burst, w.tokens + rate * seconds) : 0;
  w.work = std::min(w.work + w.capacity * seconds, std::max(w.capacity * seconds, batch));
  const double batches = std::floor(std::min(w.tokens, w.work) / batch + 1e-9);
  w.tokens -= batches * batch;
  w.work -= batches * batch;
  w.sent += batches * batch;
}

void Fleet::Step() {
  now_ += kStep;
  for (Worker& w : workers_) {
    if (!w.alive) continue;
    if (w.connected && !w.partitioned) {
      Deliver(w);
      if (now_ >= w.next_report) SendReport(w);
    }
    const double before = w.sent;
    Work(w);
    sent_ += w.sent - before;
  }
  for (const GrantAction& action : share_.Tick(now_)) {
    ++grants_;
    Worker& w = workers_.at(by_session_.at(action.session));
    if (!w.connected || w.session != action.session) {
      broken_ = "a grant for a session that is gone";
      continue;
    }
    if (w.partitioned) continue;
    const Time arrives =
        std::max(now_ + Delay(), w.grants.empty() ? now_ : w.grants.back().arrives);
    w.grants.push_back({arrives, w.accepted, action});
  }
  Check();
}

void Fleet::Check() {
  const double outstanding = Outstanding();
  const double tolerance = 1 + 1e-6;
  allowed_ = std::max(allowed_, rate_);
  if (outstanding > allowed_ * tolerance)
    broken_ = "more outstanding than the rate, or than before the cut";
  if (Believed() > outstanding * tolerance + 1e-9)
    broken_ = "workers believe to have more than is outstanding";
  allowed_ = std::max(rate_, outstanding);
}

void Fleet::Run(Duration d) {
  for (const Time end = now_ + d; now_ < end;) Step();
}

double Fleet::Believed() const {
  double sum = 0;
  for (const Worker& w : workers_) sum += w.Rate(now_);
  return sum;
}

double Fleet::DeepestBursts() const {
  double sum = 0;
  for (const Worker& w : workers_) sum += w.burst;
  return sum;
}

}  // namespace backfill::throttle
