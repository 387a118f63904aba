#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "cli/environment.h"
#include "cli/interventions.h"
#include "cli/place.h"
#include "operator/api/backfill.h"
#include "operator/report/throttle_timeline.h"

namespace backfill::cli {

struct ReportOptions {
  std::string name;
  std::string output = "text";  // text, json, markdown
  Place place;
};

// Prints the account of a backfill, also of one that has not ended. Changes no state.
int RunReport(const ReportOptions& options, const Environment& env);

// What a report is made of.
struct Account {
  api::Backfill backfill;
  std::string started;  // of the real run, RFC 3339; empty: it has not begun
  std::string ended;
  std::map<std::string, std::uint64_t> failures;  // by class
  InterventionLog interventions;
  report::ThrottleTimeline throttling;
  std::string version;   // of this program
  std::string gap = {};  // what could not be looked at, and why; empty: nothing
};

// Pure. The values of headers, where credentials stand, are hidden.
std::string ReportToText(const Account& account);
std::string ReportToJson(const Account& account);
std::string ReportToMarkdown(const Account& account);

}  // namespace backfill::cli
