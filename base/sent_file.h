#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/result.h"

namespace backfill {

// By lease: how many records of the shard were sent at most, those included that had an outcome
// before the lease began. A lease that is missing has sent none.
using SentBounds = std::map<std::pair<ShardId, Attempt>, std::uint64_t>;

// What a process has sent, where kill -9 cannot take it: a small file of fixed size. The bound of a
// lease is raised before records beyond it are sent, so that whoever reads the file after the
// process has ended knows what may have been sent and is in no report.
//
// Layout, in records of 32 bytes, each with a checksum: a header that names the boot of the machine
// (what the page cache held before a loss of power is gone), then one for each lease. Not
// thread-safe.
class SentFile {
 public:
  static constexpr std::size_t kLeases = 256;

  // Makes the file of a process that has sent nothing, 0600. Returns its descriptor, which the
  // process inherits. kUnavailable.
  static Result<int> Create(const std::string& path);

  // Over a descriptor of Create(), which must stay open.
  explicit SentFile(int fd);

  // At most that many of the lease's shard are sent from now on, or as many as it was told before.
  // False: it could not be written; nothing may be sent that relies on it.
  bool Raise(ShardId shard, Attempt attempt, std::uint64_t records);
  // Its end is durable.
  void Forget(ShardId shard, Attempt attempt);

 private:
  int fd_;
  bool void_ = false;  // more leases than there is room for: the file says nothing any more
  struct Note {
    std::size_t slot = 0;
    std::uint64_t records = 0;
  };
  std::map<std::pair<ShardId, Attempt>, Note> notes_;
  std::vector<std::size_t> free_;
};

// Of a process that has ended. kNotFound, kUnavailable; kInvalid: damaged, void, or of another boot
// of the machine. Then nothing is known of what was sent.
Result<SentBounds> ReadSentFile(const std::string& path);

}  // namespace backfill
