#include "operator/decision_log/log_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <ios>
#include <system_error>
#include <utility>

#include "base/log.h"

namespace backfill::decision_log {
namespace {

Error Failed(const std::string& doing, const std::filesystem::path& path) {
  return {ErrorCode::kUnavailable,
          doing + " " + path.string() + ": " + std::generic_category().message(errno)};
}

}  // namespace

std::string LogFileOptions::Validate() const {
  if (path.empty()) return "a decision log needs a path";
  if (files < 2 || files > 100) return "a decision log has between 2 and 100 files";
  if (max_bytes / static_cast<std::uint64_t>(files) < 1024) return "a decision log is too small";
  return "";
}

LogFile::LogFile(LogFileOptions options) : options_(std::move(options)) {
  if (const std::string problem = options_.Validate(); !problem.empty()) {
    std::fprintf(stderr, "%s\n", problem.c_str());
    std::abort();
  }
}

LogFile::~LogFile() { Stop(); }

std::filesystem::path LogFile::Older(int n) const {
  std::filesystem::path path = options_.path;
  return path += "." + std::to_string(n);
}

std::uint64_t LogFile::FileBytes() const {
  return options_.max_bytes / static_cast<std::uint64_t>(options_.files);
}

Status LogFile::Open() {
  fd_ = open(options_.path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (fd_ < 0) return Failed("opening", options_.path);
  return Ok{};
}

Status LogFile::Start() {
  TRY(Open());
  struct stat about{};
  if (fstat(fd_, &about) != 0) return Failed("looking at", options_.path);
  if (about.st_size > 0) {
    char last = 0;
    torn_ = pread(fd_, &last, 1, about.st_size - 1) != 1 || last != '\n';
  }
  {
    MutexLock l(mu_);
    in_file_ = static_cast<std::uint64_t>(about.st_size);
  }
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
  return Ok{};
}

void LogFile::Stop() {
  if (thread_.joinable()) {
    thread_.request_stop();
    thread_.join();
  }
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

void LogFile::Write(std::string_view line) {
  const std::size_t bytes = line.size() + 1;
  MutexLock l(mu_);
  if (queued_ + bytes > options_.max_queued) {
    ++dropped_;
    ++volume_;
    return;
  }
  const bool begins_file = in_file_ > 0 && in_file_ + bytes > FileBytes();
  if (begins_file) {
    in_file_ = 0;
    ++volume_;
  }
  if (queue_.empty() || begins_file)
    queue_.push_back({.begins_file = begins_file, .lines = 0, .text = {}});
  Chunk& chunk = queue_.back();
  chunk.text.append(line).push_back('\n');
  ++chunk.lines;
  queued_ += bytes;
  in_file_ += bytes;
  wake_.notify_one();
}

std::uint64_t LogFile::Volume() const {
  MutexLock l(mu_);
  return volume_;
}

std::string LogFile::ReadAll() const {
  std::string all;
  for (int n = options_.files - 1; n >= 0; --n) {
    std::ifstream in(n == 0 ? options_.path : Older(n), std::ios::binary);
    // Each of its size: a file is no larger, but for one that could not be renamed.
    const std::size_t before = all.size();
    all.resize(before + FileBytes());
    in.read(all.data() + before, static_cast<std::streamsize>(FileBytes()));
    all.resize(before + static_cast<std::size_t>(std::max<std::streamsize>(0, in.gcount())));
  }
  return all;
}

std::uint64_t LogFile::dropped() const {
  MutexLock l(mu_);
  return dropped_;
}

void LogFile::Run(const std::stop_token& stop) {
  while (true) {
    Chunk chunk;
    {
      mu_.lock();
      wake_.wait(mu_, stop,
                 [this]() BACKFILL_TSA(no_thread_safety_analysis) { return !queue_.empty(); });
      if (queue_.empty()) {
        mu_.unlock();
        return;  // stopped, and all is written
      }
      chunk = std::move(queue_.front());
      queue_.pop_front();
      queued_ -= chunk.text.size();
      mu_.unlock();
    }
    const Status put = Put(chunk);
    if (put.ok()) {
      told_ = false;
      continue;
    }
    if (!std::exchange(told_, true))
      Log(LogLevel::kWarning, "decisions are not logged", {{"error", put.error().message}});
    MutexLock l(mu_);
    dropped_ += chunk.lines;
    ++volume_;
  }
}

Status LogFile::Put(const Chunk& chunk) {
  if (chunk.begins_file) Rotate();
  if (fd_ < 0) TRY(Open());
  std::string_view left = chunk.text;
  if (torn_) {
    if (write(fd_, "\n", 1) != 1) return Failed("writing", options_.path);
    torn_ = false;
  }
  while (!left.empty()) {
    const ssize_t n = write(fd_, left.data(), left.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      torn_ = true;
      return Failed("writing", options_.path);
    }
    left.remove_prefix(static_cast<std::size_t>(n));
  }
  return Ok{};
}

// What cannot be renamed is written on: then the log is larger than it may be until it can.
void LogFile::Rotate() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
  torn_ = false;
  std::error_code ignored;
  for (int n = options_.files - 1; n > 1; --n)
    std::filesystem::rename(Older(n - 1), Older(n), ignored);
  std::filesystem::rename(options_.path, Older(1), ignored);
}

}  // namespace backfill::decision_log
