#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/sent_file.h"
#include "operator/reconcile/stage_host.h"

// The files in which worker processes of one Backfill take note of what they send: one for each
// process, kept after its end, the oldest removed. A file that is missing only means that less is
// known. Thread-safe as far as the file system is.
namespace backfill::reconcile {

// For a process that is about to start; makes the directory. Returns the descriptor. kUnavailable.
Result<int> CreateSentFile(const std::filesystem::path& dir, const std::string& worker,
                           const std::string& instance);

// Of a process that has ended. `holder`: worker/instance. nullopt: not known.
std::optional<SentBounds> ReadSentFileOf(const std::filesystem::path& dir,
                                         const std::string& holder);
// Of all processes of a stage together, none of which lives; nullopt: not known of each of them.
std::optional<SentBounds> ReadSentFilesOf(const std::filesystem::path& dir, Stage stage);

}  // namespace backfill::reconcile
