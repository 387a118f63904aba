#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <vector>

#include "base/result.h"
#include "rows/byte_source.h"

namespace backfill::rows {

// Reads ranges of a source in any order. If the source cannot begin anywhere, up to three streams
// that go forward are kept open and the one that is closest before the wanted offset is taken: a
// worker holds two leases at most and reads the shards of each in order, so it need not start over.
// Fewer are kept where they hold much memory.
class StreamPool {
 public:
  static constexpr std::size_t kMaxStreams = 3;
  static constexpr std::size_t kMaxHeldBytes = std::size_t{8} << 20;  // of all but one

  // The source outlives the pool.
  explicit StreamPool(ByteSource& source) : source_(source) {}

  // Where the next bytes are to go, called with those that came last (none at first).
  using Sink = std::function<std::span<char>(std::span<const char> came)>;

  // Reads [offset, offset + bytes), or up to the end of the source, and says how much there was.
  // Errors: as the source's.
  Result<std::uint64_t> Read(std::uint64_t offset, std::uint64_t bytes, const Sink& sink,
                             const std::stop_token& stop);

  // How many times a stream was opened; for tests.
  [[nodiscard]] std::uint64_t opened() const { return count_; }

 private:
  struct Opened {
    std::unique_ptr<ByteStream> stream;
    std::uint64_t at = 0;
    std::uint64_t used = 0;  // when, counted in calls
  };

  Result<std::uint64_t> Copy(ByteStream& stream, std::uint64_t bytes, const Sink& sink,
                             const std::stop_token& stop);
  Result<Opened> Take(std::uint64_t offset, const std::stop_token& stop);
  void Keep(Opened opened);

  ByteSource& source_;
  std::vector<Opened> streams_;
  std::uint64_t calls_ = 0;
  std::uint64_t count_ = 0;
};

}  // namespace backfill::rows
