#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <vector>

#include "base/result.h"
#include "rows/byte_source.h"
#include "rows/row_scanner.h"

namespace backfill::rows {

// Feeds a scanner from a stream that begins at the file's first byte, through one window that grows
// no larger than two of the longest rows. A byte order mark at the front is left out.
class RowReader {
 public:
  // The stream outlives the reader.
  RowReader(ByteStream& stream, Format format, char delimiter);

  // The next rows, or an empty batch before a window is dropped; nullptr at the end of the file.
  // Valid until the next call. Errors: as the stream's, and kInvalid for what
  // is no text: UTF-16, an archive, what was compressed twice.
  Result<const RowBatch*> Next(const std::stop_token& stop);

  // How many bytes were read from the stream.
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  Status Refill(const std::stop_token& stop);
  Status Start();

  ByteStream& stream_;
  const Format format_;
  const char delimiter_;
  std::optional<RowScanner> scanner_;  // once it is known whether there is a mark to leave out
  std::vector<char> buffer_;           // the window and padding
  std::size_t filled_ = 0;
  bool refill_ = true;
  bool last_ = false;
  std::uint64_t bytes_ = 0;
};

}  // namespace backfill::rows
