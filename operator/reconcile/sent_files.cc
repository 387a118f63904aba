#include "operator/reconcile/sent_files.h"

#include <algorithm>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace backfill::reconcile {
namespace {

namespace fs = std::filesystem;

// More than processes live at a time; those of long ago hold nothing that is not recorded.
constexpr std::size_t kMaxFiles = 1024;

std::vector<fs::path> FilesOf(const fs::path& dir, std::string_view prefix) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator it(dir, error), end; !error && it != end; it.increment(error)) {
    if (it->path().filename().string().starts_with(prefix)) files.push_back(it->path());
  }
  return files;
}

void RemoveOldest(const fs::path& dir) {
  std::vector<fs::path> files = FilesOf(dir, "");
  if (files.size() < kMaxFiles) return;
  std::vector<std::pair<fs::file_time_type, fs::path>> by_age;
  for (fs::path& file : files) {
    std::error_code error;
    by_age.emplace_back(fs::last_write_time(file, error), std::move(file));
  }
  std::ranges::sort(by_age);
  for (std::size_t i = 0; i < by_age.size() / 2; ++i) {
    std::error_code error;
    fs::remove(by_age[i].second, error);
  }
}

}  // namespace

Result<int> CreateSentFile(const fs::path& dir, const std::string& worker,
                           const std::string& instance) {
  std::error_code error;
  fs::create_directory(dir, error);
  if (!error) fs::permissions(dir, fs::perms::owner_all, error);
  RemoveOldest(dir);
  return SentFile::Create((dir / (worker + "." + instance)).string());
}

std::optional<SentBounds> ReadSentFileOf(const fs::path& dir, const std::string& holder) {
  const std::size_t slash = holder.find('/');
  if (slash == std::string::npos) return std::nullopt;
  std::string name = holder;
  name[slash] = '.';
  if (name.find('/') != std::string::npos) return std::nullopt;
  auto bounds = ReadSentFile((dir / name).string());
  if (!bounds.ok()) return std::nullopt;
  return std::move(*bounds);
}

std::optional<SentBounds> ReadSentFilesOf(const fs::path& dir, Stage stage) {
  const std::vector<fs::path> files = FilesOf(dir, std::string(ToString(stage)) + "-");
  if (files.empty()) return std::nullopt;
  SentBounds all;
  for (const fs::path& file : files) {
    const auto bounds = ReadSentFile(file.string());
    if (!bounds.ok()) return std::nullopt;
    for (const auto& [lease, records] : *bounds) all[lease] = std::max(all[lease], records);
  }
  return all;
}

}  // namespace backfill::reconcile
