#include "operator/coordinator/unix_socket.h"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

namespace backfill::coordinator {
namespace {

Error SystemError(ErrorCode code, const std::string& doing) {
  return {code, doing + ": " + std::generic_category().message(errno)};
}

}  // namespace

Status PrepareSocket(const std::string& path) {
  if (path.size() >= sizeof(sockaddr_un{}.sun_path)) {
    return Error{ErrorCode::kInvalid, "socket path " + path + " is longer than " +
                                          std::to_string(sizeof(sockaddr_un{}.sun_path) - 1) +
                                          " bytes"};
  }
  const std::string directory = std::filesystem::path(path).parent_path().string();
  if (directory.empty())
    return Error{ErrorCode::kInvalid, "socket path " + path + " has no directory"};
  if (mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return SystemError(ErrorCode::kUnavailable, "making directory " + directory);
  }
  struct stat info{};
  if (lstat(directory.c_str(), &info) != 0) {
    return SystemError(ErrorCode::kUnavailable, "looking at directory " + directory);
  }
  if (!S_ISDIR(info.st_mode) || info.st_uid != geteuid() || (info.st_mode & 077) != 0) {
    return Error{ErrorCode::kInvalid, directory + " must be a directory of ours with mode 0700"};
  }
  if (lstat(path.c_str(), &info) == 0) {
    if (!S_ISSOCK(info.st_mode))
      return Error{ErrorCode::kInvalid, path + " exists and is no socket"};
    if (unlink(path.c_str()) != 0) return SystemError(ErrorCode::kUnavailable, "removing " + path);
  }
  return Ok{};
}

Status CloseSocketToOthers(const std::string& path) {
  if (chmod(path.c_str(), 0600) == 0) return Ok{};
  return SystemError(ErrorCode::kUnavailable, "setting the mode of " + path);
}

}  // namespace backfill::coordinator
