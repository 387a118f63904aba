#pragma once

#include <optional>
#include <string>

#include "operator/api/backfill.h"

namespace backfill::cli {

// Makes a relative path of a source file one from the root, as seen from the current folder: a run
// may be continued from elsewhere. URLs stay.
void ResolveSourceFile(api::Backfill& backfill);

// Why the source file cannot be read here, for a warning; nothing if it can, or is behind a URL.
std::optional<std::string> SourceFileProblem(const api::Backfill& backfill);

// "the Csv file /data/ids.csv, key id". Of a URL without user, password and query, which may be
// secret. Printable.
std::string SourceFileText(const api::FileSource& file);

}  // namespace backfill::cli
