#include "cli/source_file.h"

#include <fmt/format.h>

#include <filesystem>
#include <system_error>
#include <variant>

#include "cli/terminal_text.h"
#include "operator/api/codec.h"
#include "rows/file_source.h"
#include "rows/open_source.h"

namespace backfill::cli {
void ResolveSourceFile(api::Backfill& backfill) {
  auto* const file = std::get_if<api::FileSource>(&backfill.spec.source);
  if (file == nullptr || rows::IsUrl(file->path)) return;
  std::error_code error;  // the current folder is gone; then the path is as good as any
  const std::filesystem::path absolute = std::filesystem::absolute(file->path, error);
  if (!error) file->path = absolute.lexically_normal().string();
}

std::optional<std::string> SourceFileProblem(const api::Backfill& backfill) {
  const auto* const file = std::get_if<api::FileSource>(&backfill.spec.source);
  if (file == nullptr || rows::IsUrl(file->path)) return std::nullopt;
  const auto opened = rows::FileSource::Open(file->path);
  if (opened.ok()) return std::nullopt;
  return opened.error().message;
}

std::string SourceFileText(const api::FileSource& file) {
  return Printable(fmt::format("the {} file {}{}", api::ToString(file.format),
                               rows::ShownPath(file.path),
                               file.key.empty() ? "" : ", key " + file.key));
}

}  // namespace backfill::cli
