#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>

#include "base/result.h"

namespace backfill::rows {

// Bytes in order. One thread.
class ByteStream {
 public:
  virtual ~ByteStream() = default;

  // Fills `into` from the front and says how much; 0 only at the end. At least one byte of room.
  // kUnavailable: try again with a new stream. kConflict: the source changed while it was read.
  // kInvalid: it is corrupt, or cut short. kAborted: stopped.
  virtual Result<std::size_t> Read(std::span<char> into, const std::stop_token& stop) = 0;

  // About how much memory it holds beyond a few buffers.
  [[nodiscard]] virtual std::size_t held_bytes() const { return 0; }
};

// What a file holds, from any offset on. Outlives its streams; one thread.
class ByteSource {
 public:
  virtual ~ByteSource() = default;

  // From `offset` on, at most `length` bytes. Behind the end there is nothing, which is no error.
  // kNotFound, kPermission, kUnauthenticated, kUnavailable, kConflict, kInvalid, kAborted.
  virtual Result<std::unique_ptr<ByteStream>> Open(std::uint64_t offset, std::uint64_t length,
                                                   const std::stop_token& stop) = 0;

  // Open() does not have to read what lies before the offset.
  [[nodiscard]] virtual bool seekable() const = 0;

  // Reading a part of it a second time costs little: nothing is fetched or decompressed for it.
  [[nodiscard]] virtual bool cheap_to_reread() const { return false; }

  // How many bytes are stored (compressed, if they are), where that is known without reading them.
  [[nodiscard]] virtual std::optional<std::uint64_t> stored_bytes() const = 0;
  // How many of them were read so far by the stream that is furthest, for progress.
  [[nodiscard]] virtual std::uint64_t stored_bytes_read() const = 0;
};

// Reads `bytes` bytes and drops them; fewer if the stream ends.
Status SkipBytes(ByteStream& stream, std::uint64_t bytes, const std::stop_token& stop);

inline constexpr std::uint64_t kToTheEnd = ~std::uint64_t{0};

}  // namespace backfill::rows
