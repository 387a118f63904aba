#include "cli/state_dir.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "cli/terminal_text.h"

namespace backfill::cli {
namespace {

std::string Why(int error) { return std::generic_category().message(error); }

// What lies there is trusted: it says what is sent, and what has been sent already.
Status CheckOwner(const std::filesystem::path& path) {
  struct stat info{};
  const std::string shown = Printable(path.string());
  if (stat(path.c_str(), &info) != 0) {
    return Error{ErrorCode::kPermission,
                 fmt::format("cannot look at the state directory {}: {}", shown, Why(errno))};
  }
  if (info.st_uid != geteuid()) {
    return Error{ErrorCode::kPermission,
                 fmt::format("the state directory {} belongs to another user (uid {}); run it as "
                             "that user, or choose another with --state-dir",
                             shown, info.st_uid)};
  }
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return Error{ErrorCode::kPermission,
                 fmt::format("others may write to the state directory {}; first look at what is in "
                             "it, then: chmod go-w {}",
                             shown, shown)};
  }
  return Ok{};
}

}  // namespace

Result<StateDir> StateDir::Create(const std::filesystem::path& path) {
  const std::string shown = Printable(path.string());
  std::error_code error;
  if (path.empty()) return Error{ErrorCode::kInvalid, "--state-dir is empty"};
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), error);
  if (error) {
    return Error{ErrorCode::kPermission,
                 fmt::format("cannot make the folder above the state directory {}: {}; choose "
                             "another with --state-dir",
                             shown, error.message())};
  }
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return Error{
        ErrorCode::kPermission,
        fmt::format("cannot make the state directory {}: {}; choose another with --state-dir",
                    shown, Why(errno))};
  }
  if (!std::filesystem::is_directory(path, error)) {
    return Error{
        ErrorCode::kInvalid,
        fmt::format("the state directory {} is not a directory; choose another with --state-dir",
                    shown)};
  }
  if (access(path.c_str(), R_OK | W_OK | X_OK) != 0) {
    return Error{
        ErrorCode::kPermission,
        fmt::format(
            "cannot write to the state directory {}: {}; make it writable, or choose another with "
            "--state-dir",
            shown, Why(errno))};
  }
  TRY(CheckOwner(path));
  return StateDir(path);
}

Result<StateDir> StateDir::Find(const std::filesystem::path& path) {
  StateDir dir(path);
  std::error_code error;
  const bool there = std::filesystem::exists(dir.Database(), error);
  if (error) {
    return Error{ErrorCode::kPermission, fmt::format("cannot look into the state directory {}: {}",
                                                     Printable(path.string()), error.message())};
  }
  if (!there) {
    return Error{
        ErrorCode::kNotFound,
        fmt::format(
            "no backfill has been run here: there is no state in {}; go to the folder where it was "
            "started, or name it with --state-dir",
            Printable(path.string()))};
  }
  TRY(CheckOwner(path));
  return dir;
}

// Names and namespaces are DNS labels, without dots: so these file names are unambiguous.
std::filesystem::path StateDir::RunnerLock(std::string_view ns, std::string_view name) const {
  return path_ / fmt::format("{}.{}.lock", ns, name);
}
std::filesystem::path StateDir::WorkersLock(std::string_view ns, std::string_view name) const {
  return path_ / fmt::format("{}.{}.workers.lock", ns, name);
}
std::filesystem::path StateDir::WorkersLog(std::string_view ns, std::string_view name) const {
  return path_ / fmt::format("{}.{}.workers.log", ns, name);
}
std::filesystem::path StateDir::DecisionsLog(std::string_view ns, std::string_view name) const {
  return path_ / fmt::format("{}.{}.decisions.log", ns, name);
}
std::filesystem::path StateDir::WorkersSent(std::string_view ns, std::string_view name) const {
  return path_ / fmt::format("{}.{}.workers.sent", ns, name);
}
void StateDir::RemoveWorkersSent(std::string_view ns, std::string_view name) const {
  std::error_code ignored;
  std::filesystem::remove_all(WorkersSent(ns, name), ignored);
}

bool IsName(std::string_view text) {
  constexpr std::size_t kMaxLabel = 63;
  return !text.empty() && text.size() <= kMaxLabel && text.front() != '-' && text.back() != '-' &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
         });
}

}  // namespace backfill::cli
