#include "cli/throttle_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "cli/human.h"
#include "cli/terminal_text.h"
#include "operator/api/conditions.h"

namespace backfill::cli {

std::string ThrottleText(const api::Status& status, WallTime now) {
  if (!status.throttle) return "";
  const api::ThrottleStatus& throttle = *status.throttle;
  std::string text = Printable(throttle.state);
  if (const auto since = ParseWallTime(throttle.since)) {
    const double seconds = std::chrono::duration<double>(now - *since).count();
    text += " for " + Lasting(std::max(0.0, seconds));
  }
  if (!throttle.reason.empty()) text += ": " + Printable(throttle.reason);
  if (throttle.holds > 1) text += fmt::format("; hold {} in a row", throttle.holds);
  return text;
}

std::string ThrottleSummary(const api::Status& status, WallTime now) {
  if (!status.throttle || HasEnded(status)) return "";
  const api::ThrottleStatus& throttle = *status.throttle;
  std::string text = Printable(throttle.state);
  if (text.empty() || text == "Paused") return "";  // the phase says it
  if (!throttle.binding_budget.empty()) {
    text += " by " + Printable(throttle.binding_budget);
    if (throttle.pressure)
      text += fmt::format(" at {:.0f} %", std::round(*throttle.pressure * 100));
  }
  if (const auto since = ParseWallTime(throttle.since)) {
    const double seconds = std::chrono::duration<double>(now - *since).count();
    text += " for " + Lasting(std::max(0.0, seconds));
  }
  return text;
}

std::string BudgetText(const api::BudgetStatus& budget) {
  std::string text = Printable(budget.name) + ":";
  if (budget.value) text += fmt::format(" {:.4g},", *budget.value);
  if (budget.pressure) text += fmt::format(" {:.0f} % of it,", std::round(*budget.pressure * 100));
  text += " " + Printable(budget.state);
  if (budget.age)
    text += ", " + Lasting(static_cast<double>(std::max<std::int64_t>(0, *budget.age))) + " old";
  return text;
}

}  // namespace backfill::cli
