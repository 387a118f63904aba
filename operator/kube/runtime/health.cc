#include "operator/kube/runtime/health.h"

#include <fmt/format.h>

#include <chrono>

namespace backfill::kube {
namespace {

using namespace std::chrono_literals;

constexpr Duration kLongestReconcile = 2min;
constexpr Duration kLeaseOverdue = 20s;

long long WholeSeconds(Duration d) {
  return std::chrono::duration_cast<std::chrono::seconds>(d).count();
}

}  // namespace

std::string LoopProblem(Time last_tick, Time now, Duration limit) {
  if (now - last_tick <= limit) return "";
  return fmt::format("the loop has not come round for {} s", WholeSeconds(now - last_tick));
}

std::string ReconcileProblem(Duration longest) {
  if (longest <= kLongestReconcile) return "";
  return fmt::format("a reconcile has been under way for {} s", WholeSeconds(longest));
}

std::string LeaseProblem(bool says_it_leads, Time valid_until, Time now) {
  // It may have ended between the two questions.
  if (!says_it_leads || valid_until == Time::min()) return "";
  if (now <= valid_until || now - valid_until <= kLeaseOverdue) return "";
  return fmt::format("the Lease should have been renewed {} s ago",
                     WholeSeconds(now - valid_until));
}

void HealthBoard::Add(std::string name, Check check) {
  MutexLock l(mu_);
  checks_.emplace_back(std::move(name), std::move(check));
}

HealthBoard::Report HealthBoard::Ask(Time now) const {
  std::vector<std::pair<std::string, Check>> checks;
  {
    MutexLock l(mu_);
    checks = checks_;
  }
  Report report;
  for (const auto& [name, check] : checks) {
    const std::string problem = check(now);
    if (problem.empty()) {
      report.text += fmt::format("[+]{} ok\n", name);
    } else {
      report.ok = false;
      report.text += fmt::format("[-]{} failed: {}\n", name, problem);
    }
  }
  report.text += report.ok ? "ok\n" : "not ok\n";
  return report;
}

}  // namespace backfill::kube
