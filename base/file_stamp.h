#pragma once

#include <cstdint>
#include <string>

namespace backfill {

// Which version of a file stands under a path, so far as can be told without reading it: a file
// that is written anew or replaced has another stamp. Links are followed. All zero: there is none.
struct FileStamp {
  std::uint64_t device = 0, inode = 0;
  std::int64_t size = 0, seconds = 0, nanoseconds = 0;  // the time of its last change
  bool operator==(const FileStamp&) const = default;
};

FileStamp StampOf(const std::string& path);

}  // namespace backfill
