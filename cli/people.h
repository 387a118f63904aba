#pragma once

#include <string>

#include "operator/api/backfill.h"

// The people around a backfill on one printable line each. Pure.
namespace backfill::cli {

// "payments, #payments-oncall, runbook https://..."; empty where nothing is said.
std::string OwnerText(const api::Owner& owner);
// "orders (#orders): +20 % writes for 2 h"
std::string StakeholderText(const api::Stakeholder& stakeholder);

}  // namespace backfill::cli
