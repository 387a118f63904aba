#include "rows/file_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace backfill::rows {
namespace {

Error FromErrno(int error, const std::string& doing) {
  ErrorCode code = ErrorCode::kUnavailable;
  if (error == ENOENT || error == ENOTDIR) code = ErrorCode::kNotFound;
  if (error == EACCES || error == EPERM) code = ErrorCode::kPermission;
  return Error{code, std::strerror(error)}.Annotate(doing);  // NOLINT(concurrency-mt-unsafe)
}

}  // namespace

class FileSource::Stream final : public ByteStream {
 public:
  Stream(FileSource& file, std::uint64_t offset, std::uint64_t length)
      : file_(file), at_(offset), left_(length) {}

  Result<std::size_t> Read(std::span<char> into, const std::stop_token& stop) override {
    if (stop.stop_requested()) return Error{ErrorCode::kAborted, "stopped while reading a file"};
    const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), left_));
    std::size_t done = 0;
    while (done < most) {
      const ssize_t n = pread(file_.fd_, into.data() + done, most - done, static_cast<off_t>(at_));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return FromErrno(errno, "reading " + file_.path_);
      if (n == 0) break;
      done += static_cast<std::size_t>(n);
      at_ += static_cast<std::uint64_t>(n);
      left_ -= static_cast<std::uint64_t>(n);
    }
    file_.furthest_ = std::max(file_.furthest_, at_);
    return done;
  }

 private:
  FileSource& file_;
  std::uint64_t at_;
  std::uint64_t left_;
};

Result<std::unique_ptr<ByteSource>> FileSource::Open(const std::string& path) {
  // A FIFO without a writer would hold up a plain open for ever.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return FromErrno(errno, "opening " + path);
  std::unique_ptr<ByteSource> source(new FileSource(fd, path));
  struct stat status{};
  if (fstat(fd, &status) != 0) return FromErrno(errno, "opening " + path);
  if (!S_ISREG(status.st_mode)) {
    return Error{ErrorCode::kInvalid,
                 path + (S_ISDIR(status.st_mode) ? " is a directory, not a file"
                                                 : " is not a regular file; it has to be read "
                                                   "more than once")};
  }
  posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
  return source;
}

FileSource::~FileSource() { close(fd_); }

Result<std::unique_ptr<ByteStream>> FileSource::Open(std::uint64_t offset, std::uint64_t length,
                                                     const std::stop_token& /*stop*/) {
  return std::unique_ptr<ByteStream>(std::make_unique<Stream>(*this, offset, length));
}

std::optional<std::uint64_t> FileSource::stored_bytes() const {
  struct stat status{};
  if (fstat(fd_, &status) != 0) return std::nullopt;
  return static_cast<std::uint64_t>(status.st_size);
}

}  // namespace backfill::rows
