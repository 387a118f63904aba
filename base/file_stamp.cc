#include "base/file_stamp.h"

#include <sys/stat.h>

namespace backfill {

FileStamp StampOf(const std::string& path) {
  struct stat s{};
  if (::stat(path.c_str(), &s) != 0) return {};
  return {.device = s.st_dev,
          .inode = s.st_ino,
          .size = s.st_size,
          .seconds = s.st_mtim.tv_sec,
          .nanoseconds = s.st_mtim.tv_nsec};
}

}  // namespace backfill
