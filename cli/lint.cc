#include "cli/lint.h"

#include <algorithm>
#include <ostream>

#include "cli/backfill_file.h"
#include "cli/exit_code.h"
#include "cli/source_file.h"
#include "operator/api/decode.h"

namespace backfill::cli {
namespace {

bool LintFile(const std::string& file, const Place& place, Streams& streams) {
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
  const bool ok = decoded.backfill && decoded.problems.empty();
  if (ok) streams.out << ShownFile(file) << ": ok\n";
  return ok;
}

}  // namespace

int RunLint(const LintOptions& options, Streams& streams) {
  bool all_ok = true;
  for (const std::string& file : options.files)
    all_ok = LintFile(file, options.place, streams) && all_ok;
  return all_ok ? kExitDone : kExitNotStarted;
}

}  // namespace backfill::cli
