#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

#include "operator/observe/query.h"
#include "operator/reconcile/budget_query.h"
#include "operator/reconcile/throttling.h"

// Throttling as a member of a group.
namespace backfill::reconcile {

GroupReport Throttling::ReportFor(const Seen& seen, const Asked& asked,
                                  const HandRate& hand) const {
  const api::Backfill& b = seen.backfill;
  GroupReport report;
  report.uid = b.uid;
  report.name = b.name;
  report.created = b.creation_time;
  report.paused = asked.paused;
  report.blackout = asked.blackout;
  report.hand = hand;
  report.saved = recalled_;
  throttle::GroupMember& member = report.member;
  member.weight = spec_->group->weight;
  member.limit = own_.max_records_per_second;
  if (asked.window_limit && *asked.window_limit < member.limit) {
    member.limit = *asked.window_limit;
    report.scheduled = true;
  }
  if (seen.open != nullptr) {
    member.open = true;
    member.seen = !seen.open->error || seen.open->error->code != ErrorCode::kDeadline;
    member.sent = seen.open->attempts_per_second;
    member.waits = seen.open->records_wait;
    member.in_force = std::max(seen.open->granted, seen.open->allowed);
    member.reported = seen.open->reported;
    report.target_holds = seen.open->target_holds_back;
  }
  report.of_spec.options = own_;
  report.of_spec.options.budgets.clear();
  const bool sends = member.open && !asked.paused && !asked.blackout;
  for (std::size_t i = 0; i < own_.budgets.size(); ++i) {
    // What workers measure while they send nothing says nothing to the others.
    if (spec_->budgets[i].workers && !sends) continue;
    report.of_spec.options.budgets.push_back(own_.budgets[i]);
    report.of_spec.questions.push_back(observe::KeyOf(QueryOf(spec_->budgets[i], b.uid)));
    report.observations.push_back(i < seen.observations.size() ? seen.observations[i]
                                                               : throttle::Observation{});
  }
  return report;
}

Status Throttling::GovernInGroup(const Seen& seen, const Asked& asked,
                                 std::optional<Duration> closes_in, const HandRate& hand, Time now,
                                 WallTime wall) {
  const GroupReport report = ReportFor(seen, asked, hand);
  GroupAnswer answer =
      TRY(seen.groups->Step(seen.backfill.ns, spec_->group->name, report, seen.log, now, wall));
  recalled_.reset();
  // A cut must not wait until each of them comes to its next step.
  for (const std::string& name : answer.lowered)
    if (seen.look_now) seen.look_now(seen.backfill.ns, name);
  // Each reports what has become of the group once.
  const bool decided = !decision_ || !group_ || answer.decided != group_->decided;
  if (!decided) answer.decision.transitions.clear();
  answer.decision.rate *= throttle::ClosingShare(closes_in, own_.tick);
  group_ = std::move(answer);
  const bool changed = !decision_ || decision_->state != group_->decision.state ||
                       decision_->limited_by != group_->decision.limited_by ||
                       decision_->rate != group_->decision.rate;
  decision_ = group_->decision;
  if (!decided) decision_->cut = decision_->raised = false;
  if (decided || changed) NoteState(seen, wall);
  return Ok{};
}

std::string Throttling::GroupText() const {
  std::string text = "group " + spec_->group->name;
  if (group_->others > 0) {
    text += ", shared with " + std::to_string(group_->others) +
            (group_->others == 1 ? " other" : " others");
  }
  return text + (group_->hand.empty() ? "" : "; " + group_->hand);
}

}  // namespace backfill::reconcile
