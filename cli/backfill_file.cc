#include "cli/backfill_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <istream>
#include <ostream>
#include <system_error>

#include "cli/descriptor.h"
#include "cli/place.h"
#include "cli/source_file.h"
#include "cli/terminal_text.h"

namespace backfill::cli {
namespace {

// One byte more than DecodeBackfill() accepts, so that it sees that there is too much.
constexpr std::size_t kMaxText = 3 * 1024 * 1024 + 1;

Error CannotRead(const std::string& file, int error) {
  const ErrorCode code = error == ENOENT ? ErrorCode::kNotFound : ErrorCode::kPermission;
  return {code, fmt::format("cannot read {}: {}", ShownFile(file),
                            std::generic_category().message(error))};
}

}  // namespace

std::string ShownFile(const std::string& file) { return file == "-" ? "stdin" : Printable(file); }

Result<std::string> ReadInput(const std::string& file, std::istream& in) {
  std::string text;
  if (file == "-") {
    text.resize(kMaxText);
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(in.gcount()));
    return text;
  }
  const Descriptor opened(open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (opened.get() < 0) return CannotRead(file, errno);
  std::array<char, 65536> block{};
  while (text.size() < kMaxText) {
    const ssize_t n =
        read(opened.get(), block.data(), std::min(block.size(), kMaxText - text.size()));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return CannotRead(file, errno);
    if (n == 0) break;
    text.append(block.data(), static_cast<std::size_t>(n));
  }
  return text;
}

std::string ShownProblem(const api::Problem& problem) { return Printable(api::ToString(problem)); }

std::string ShownWarning(const api::Problem& warning) {
  api::Problem shown = warning;
  std::string& first = shown.path.empty() ? shown.message : shown.path;
  first = "warning: " + first;
  return ShownProblem(shown);
}

std::optional<LoadedFile> LoadBackfill(const std::string& file,
                                       const std::optional<std::string>& ns, Streams& streams) {
  const Result<std::string> text = ReadInput(file, streams.in);
  if (!text.ok()) {
    streams.err << "error: " << text.error().message << "\n";
    return std::nullopt;
  }
  return DecodeFile(*text, file, ns, streams);
}

std::optional<LoadedFile> DecodeFile(const std::string& text, const std::string& file,
                                     const std::optional<std::string>& ns, Streams& streams) {
  api::Decoded decoded = api::DecodeBackfill(text, ShownFile(file));
  for (const api::Problem& p : decoded.problems) streams.err << ShownProblem(p) << "\n";
  if (!decoded.backfill) {
    streams.err << "error: " << ShownFile(file) << " has " << decoded.problems.size()
                << (decoded.problems.size() == 1 ? " problem" : " problems")
                << "; nothing was done\n";
    return std::nullopt;
  }
  LoadedFile loaded{std::move(*decoded.backfill), {}};
  for (const api::Problem& w : decoded.warnings) loaded.warnings.push_back(ShownWarning(w));
  api::Backfill& backfill = loaded.backfill;
  if (ns && !backfill.ns.empty() && *ns != backfill.ns) {
    streams.err << "error: " << ShownFile(file) << " says namespace " << Printable(backfill.ns)
                << ", the command line says " << Printable(*ns)
                << "; leave out -n, or change the file\n";
    return std::nullopt;
  }
  if (backfill.ns.empty()) backfill.ns = ns.value_or(kDefaultNamespace);
  ResolveSourceFile(backfill);
  return loaded;
}

}  // namespace backfill::cli
