#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>

#include "base/mutex.h"
#include "base/result.h"
#include "operator/decision_log/decision_sink.h"

namespace backfill::decision_log {

struct LogFileOptions {
  std::filesystem::path path;              // older ones: path.1, path.2, ...
  std::uint64_t max_bytes = 64ULL << 20U;  // of all of them together
  int files = 4;                           // at least 2
  std::size_t max_queued = 4U << 20U;      // bytes that wait for the disk

  [[nodiscard]] std::string Validate() const;  // empty: fine
};

// A log of bounded size in files of its own, which nobody else may write. Each file can be replayed
// without the ones before it, but for the first decision of some governors.
//
// A thread of its own writes, so that no governor waits for a disk. Lines that a disk does not take
// (full, slow, gone) are dropped and told about in the log of the process; a decision never depends
// on them.
class LogFile final : public DecisionSink {
 public:
  // Ends the process if the options are invalid.
  explicit LogFile(LogFileOptions options);
  ~LogFile() override;

  // Goes on at the end of the file that is there. kUnavailable: it cannot be opened or made.
  Status Start();
  // What is queued is written. Idempotent.
  void Stop();

  void Write(std::string_view line) override;
  [[nodiscard]] std::uint64_t Volume() const override;

  // What is in the files, from the oldest line on. Lines that are written meanwhile may be missing,
  // or be there twice.
  [[nodiscard]] std::string ReadAll() const;

  // Lines, since the start.
  [[nodiscard]] std::uint64_t dropped() const;

 private:
  // Lines for one file.
  struct Chunk {
    bool begins_file = false;
    std::uint64_t lines = 0;
    std::string text;
  };

  void Run(const std::stop_token& stop);
  Status Put(const Chunk& chunk);
  Status Open();
  void Rotate();
  [[nodiscard]] std::filesystem::path Older(int n) const;
  [[nodiscard]] std::uint64_t FileBytes() const;

  const LogFileOptions options_;

  // ---- the thread's, and before there is one Start()'s
  int fd_ = -1;
  bool torn_ = false;  // the last line may have no end
  bool told_ = false;  // that the disk takes nothing

  mutable Mutex mu_;
  std::condition_variable_any wake_;
  std::deque<Chunk> queue_ GUARDED_BY(mu_);
  std::size_t queued_ GUARDED_BY(mu_) = 0;     // bytes
  std::uint64_t in_file_ GUARDED_BY(mu_) = 0;  // bytes, those queued for it included
  std::uint64_t volume_ GUARDED_BY(mu_) = 1;
  std::uint64_t dropped_ GUARDED_BY(mu_) = 0;

  std::jthread thread_;  // last: uses all of the above
};

}  // namespace backfill::decision_log
