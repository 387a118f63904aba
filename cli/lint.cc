#include "cli/lint.h"

#include <algorithm>
#include <map>
#include <ostream>
#include <string>
#include <utility>

#include "cli/backfill_file.h"
#include "cli/exit_code.h"
#include "cli/source_file.h"
#include "operator/api/decode.h"

namespace backfill::cli {
namespace {

// Whose requests it gets: http://orders:8080
std::string ServerOf(const api::Backfill& backfill) {
  const std::string& url = backfill.spec.target.url;
  const std::size_t host = url.find("://");
  return host == std::string::npos ? url : url.substr(0, url.find('/', host + 3));
}

// Which file of a group was seen first, and its server; by namespace and name.
using Groups = std::map<std::pair<std::string, std::string>, std::pair<std::string, std::string>>;

// A group is for one target: what makes one wait makes all wait.
std::string GroupProblem(const api::Backfill& backfill, const std::string& file, Groups& groups) {
  const auto& group = backfill.spec.throttle.group;
  if (!group) return "";
  const std::string server = ServerOf(backfill);
  const auto [first, is_first] = groups.try_emplace({backfill.ns, group->name}, file, server);
  if (is_first || first->second.second == server) return "";
  return "the group " + group->name + " has several targets, " + first->second.second + " in " +
         first->second.first + " and " + server +
         " here: what is wrong with one of them slows down all members";
}

bool LintFile(const std::string& file, const Place& place, Groups& groups, Streams& streams) {
  const Result<std::string> text = ReadInput(file, streams.in);
  if (!text.ok()) {
    streams.out << ShownFile(file) << ": " << text.error().message << "\n";
    return false;
  }
  api::Decoded decoded = api::DecodeBackfill(*text, ShownFile(file));
  if (decoded.backfill && place.ns && !decoded.backfill->ns.empty() &&
      *place.ns != decoded.backfill->ns) {
    decoded.problems.push_back({ShownFile(file), 0, 0, "metadata.namespace",
                                "is " + decoded.backfill->ns + ", but -n says " + *place.ns});
  }
  for (const api::Problem& p : decoded.problems) streams.out << ShownProblem(p) << "\n";
  for (const api::Problem& w : decoded.warnings) streams.out << ShownWarning(w) << "\n";
  if (decoded.backfill) {
    if (const auto problem = SourceFileProblem(*decoded.backfill)) {
      streams.out << ShownWarning({ShownFile(file), 0, 0, "spec.source.file.path", *problem})
                  << "\n";
    }
  }
  if (decoded.backfill) {
    const std::string problem = GroupProblem(*decoded.backfill, ShownFile(file), groups);
    if (!problem.empty())
      streams.out << ShownWarning({ShownFile(file), 0, 0, "spec.throttle.group", problem}) << "\n";
  }
  const bool ok = decoded.backfill && decoded.problems.empty();
  if (ok) streams.out << ShownFile(file) << ": ok\n";
  return ok;
}

}  // namespace

int RunLint(const LintOptions& options, Streams& streams) {
  bool all_ok = true;
  Groups groups;
  for (const std::string& file : options.files)
    all_ok = LintFile(file, options.place, groups, streams) && all_ok;
  return all_ok ? kExitDone : kExitNotStarted;
}

}  // namespace backfill::cli
