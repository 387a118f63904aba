#include "cli/people.h"

#include "cli/terminal_text.h"

namespace backfill::cli {

std::string OwnerText(const api::Owner& owner) {
  std::string out;
  const auto add = [&out](const std::string& what, const std::string& value) {
    if (!value.empty()) out += (out.empty() ? "" : ", ") + what + Printable(value);
  };
  add("", owner.team);
  add("", owner.contact);
  add("runbook ", owner.runbook);
  return out;
}

std::string StakeholderText(const api::Stakeholder& stakeholder) {
  std::string out = Printable(stakeholder.name);
  if (!stakeholder.contact.empty()) out += " (" + Printable(stakeholder.contact) + ")";
  if (!stakeholder.impact.empty()) out += ": " + Printable(stakeholder.impact);
  return out;
}

}  // namespace backfill::cli
