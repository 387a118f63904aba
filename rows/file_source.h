#pragma once

#include <memory>
#include <string>

#include "rows/byte_source.h"

namespace backfill::rows {

// A local file. Opened once: what is put in its place under the same name later is not seen.
class FileSource final : public ByteSource {
 public:
  // kNotFound, kPermission, kInvalid (not a regular file), kUnavailable.
  static Result<std::unique_ptr<ByteSource>> Open(const std::string& path);
  ~FileSource() override;

  Result<std::unique_ptr<ByteStream>> Open(std::uint64_t offset, std::uint64_t length,
                                           const std::stop_token& stop) override;
  [[nodiscard]] bool seekable() const override { return true; }
  [[nodiscard]] bool cheap_to_reread() const override { return true; }
  [[nodiscard]] std::optional<std::uint64_t> stored_bytes() const override;
  [[nodiscard]] std::uint64_t stored_bytes_read() const override { return furthest_; }

 private:
  class Stream;
  FileSource(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

  const int fd_;
  const std::string path_;
  std::uint64_t furthest_ = 0;
};

}  // namespace backfill::rows
