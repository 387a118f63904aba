#pragma once

#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/environment.h"
#include "operator/api/backfill.h"
#include "operator/api/decode.h"

namespace backfill::cli {

// The text of a file; "-" is `in`. At most what api::DecodeBackfill takes and a byte more.
// kNotFound, kPermission, kInvalid (a directory): the message names the file.
Result<std::string> ReadInput(const std::string& file, std::istream& in);

// How a file is called in messages.
std::string ShownFile(const std::string& file);

// A problem or warning as one printable line.
std::string ShownProblem(const api::Problem& problem);
std::string ShownWarning(const api::Problem& warning);

struct LoadedFile {
  // The namespace is never empty, and a local source file is named from the root.
  api::Backfill backfill;
  std::vector<std::string> warnings;  // printable
};

// Decodes the text of a file for a command that needs a valid one. nullopt: it is not, and all that
// is wrong has been printed on err. `ns`, if given, must not contradict the file.
std::optional<LoadedFile> DecodeFile(const std::string& text, const std::string& file,
                                     const std::optional<std::string>& ns, Streams& streams);

// Reads it before.
std::optional<LoadedFile> LoadBackfill(const std::string& file,
                                       const std::optional<std::string>& ns, Streams& streams);

}  // namespace backfill::cli
