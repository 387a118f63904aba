#include "operator/reconcile/status_builder.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/utf8.h"
#include "operator/api/conditions.h"

namespace backfill::reconcile {
namespace {

constexpr std::size_t kMaxMessage = 160;

std::string Cut(std::string_view text, std::size_t max) {
  constexpr std::string_view kMore = "...";
  if (text.size() <= max) return std::string(text);
  return std::string(CutToBytes(text, max - kMore.size())) + std::string(kMore);
}

std::string Format(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

// Rounded down: 100 % is shown when everything is done and not before.
std::string Ratio(std::uint64_t done, std::uint64_t planned, double scale, const char* format) {
  if (planned == 0) return Format(format, scale);
  const double steps = scale == 1.0 ? 1000.0 : 10.0;
  const double ratio =
      std::floor(static_cast<double>(done) / static_cast<double>(planned) * scale * steps) / steps;
  return Format(format, done >= planned ? scale : std::min(ratio, scale - 1.0 / steps));
}

}  // namespace

std::string FormatRate(double r) {
  if (r >= 9'999'500.0) return Format("%.0fM/s", r / 1e6);
  if (r >= 999'500.0) return Format("%.1fM/s", r / 1e6);
  if (r >= 9'950.0) return Format("%.0fk/s", r / 1e3);
  if (r >= 999.5) return Format("%.1fk/s", r / 1e3);
  if (r >= 9.95 || r == std::floor(r)) return Format("%.0f/s", r);
  return Format("%.1f/s", r);
}

api::ProgressStatus ToProgress(const ledger::Totals& totals) {
  api::ProgressStatus p;
  p.records = totals.counts.total();
  p.updated = totals.counts.updated;
  p.unchanged = totals.counts.unchanged;
  p.skipped = totals.counts.skipped;
  p.failed = totals.counts.failed;
  p.shards_done = totals.shards_done;
  p.ratio = Ratio(p.records, totals.planned, 1.0, "%.3f");
  p.redone_at_most = totals.redone_at_most;
  return p;
}

StatusBuilder::StatusBuilder(const api::Backfill& backfill, WallTime now)
    : backfill_(backfill), now_(now), status_(backfill.status) {
  status_.observed_generation = backfill.generation;
  if (status_.plan) {
    constexpr std::size_t kPrefix = 7, kShown = 12;  // "sha256:"
    status_.display.plan =
        status_.plan->hash.substr(std::min(kPrefix, status_.plan->hash.size()), kShown);
  }
}

void StatusBuilder::Set(std::string_view type, api::ConditionStatus value, std::string_view reason,
                        std::string_view message) {
  auto it = std::find_if(status_.conditions.begin(), status_.conditions.end(),
                         [&](const api::Condition& c) { return c.type == type; });
  if (it == status_.conditions.end()) {
    api::Condition fresh;
    fresh.type = std::string(type);
    it = status_.conditions.insert(it, std::move(fresh));
  }
  // Compared with the last status: on the way to this one a condition may be set more than once.
  const api::Condition* last = api::FindCondition(backfill_.status, type);
  const bool lasts =
      last != nullptr && last->status == value && !last->last_transition_time.empty();
  it->last_transition_time = lasts ? last->last_transition_time : FormatWallTime(now_);
  it->status = value;
  it->reason = std::string(reason);
  it->message = Cut(message, kMaxMessage);
  it->observed_generation = backfill_.generation;
}

// A person's reason for an override is a part of it, and the store takes no longer ones.
void StatusBuilder::SetThrottle(std::optional<api::ThrottleStatus> throttle) {
  if (throttle) throttle->reason = Cut(throttle->reason, kMaxMessage);
  status_.throttle = std::move(throttle);
}

void StatusBuilder::Keep(std::string_view type) {
  Clear(type);
  const api::Condition* last = api::FindCondition(backfill_.status, type);
  if (last == nullptr) return;
  status_.conditions.push_back(*last);
  status_.conditions.back().observed_generation = backfill_.generation;
}

void StatusBuilder::Restamp() {
  for (api::Condition& c : status_.conditions) c.observed_generation = backfill_.generation;
}

void StatusBuilder::FillUp() {
  using enum api::ConditionStatus;
  static constexpr struct {
    const char* type;
    api::ConditionStatus value;
    const char* reason;
  } kFirst[] = {{"Ready", kUnknown, "Pending"},        {"Succeeded", kUnknown, "Pending"},
                {"Planned", kUnknown, "Planning"},     {"Approved", kUnknown, "NotPlanned"},
                {"Paused", kFalse, "NotPaused"},       {"Throttled", kFalse, "NotThrottled"},
                {"Verified", kUnknown, "NotRequested"}};
  for (const auto& c : kFirst) {
    if (!Has(c.type)) Set(c.type, c.value, c.reason);
  }
}

void StatusBuilder::SetUndecided(bool dry_run) {
  const std::string_view phase = api::ToString(status_.phase.value_or(api::Phase::kPending));
  Set("Succeeded", api::ConditionStatus::kUnknown, dry_run ? "DryRun" : phase);
}

std::string StatusBuilder::ReasonOf(std::string_view type) const {
  const api::Condition* c = api::FindCondition(status_, type);
  return c == nullptr ? "" : c->reason;
}

bool StatusBuilder::Has(std::string_view type) const {
  return api::FindCondition(status_, type) != nullptr;
}

void StatusBuilder::Clear(std::string_view type) {
  std::erase_if(status_.conditions, [&](const api::Condition& c) { return c.type == type; });
}

void StatusBuilder::SetProgress(const ledger::Totals& totals) {
  status_.progress = ToProgress(totals);
  status_.display.progress = Ratio(totals.counts.total(), totals.planned, 100.0, "%.1f%%");
  status_.display.shards = std::to_string(totals.shards_done) + "/" + std::to_string(totals.shards);
}

void StatusBuilder::SetRate(double current, double limit, std::string_view limited_by) {
  status_.rate = api::RateStatus{current, limit, std::string(limited_by)};
  status_.display.rate = FormatRate(current);
  // That there could be more workers is so nearly always.
  if (!limited_by.empty() && limited_by != "Workers")
    status_.display.rate += " (" + std::string(limited_by) + ")";
  status_.eta.clear();
  if (current <= 0 || !status_.plan || !status_.progress) return;
  const double left =
      static_cast<double>(status_.plan->records) - static_cast<double>(status_.progress->records);
  constexpr double kTooFar =
      10.0 * 365 * 24 * 3600;  // no one is helped by a date in the next century
  const double seconds = std::max(0.0, left) / current;
  if (seconds > kTooFar) return;
  status_.eta =
      FormatWallTime(now_ + std::chrono::seconds(static_cast<std::int64_t>(std::ceil(seconds))));
}

void StatusBuilder::SetWorkers(int desired, int connected) {
  status_.workers = api::WorkersStatus{desired, connected};
  status_.display.workers = std::to_string(connected) + "/" + std::to_string(desired);
}

void StatusBuilder::ClearActivity() {
  status_.rate.reset();
  status_.eta.clear();
  status_.display.rate.clear();
  SetWorkers(0, 0);
}

api::Status StatusBuilder::Take() {
  // Always in the same order, however they came to be: what says the same is equal.
  static constexpr std::string_view kOrder[] = {"Ready",     "Reconciling", "Stalled",
                                                "Succeeded", "Planned",     "Approved",
                                                "Paused",    "Throttled",   "Verified"};
  const auto place = [](const api::Condition& c) {
    return std::pair(std::ranges::find(kOrder, c.type), std::string_view(c.type));
  };
  std::ranges::sort(status_.conditions, {}, place);
  return std::move(status_);
}

}  // namespace backfill::reconcile
