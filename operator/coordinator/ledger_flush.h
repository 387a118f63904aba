#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "base/result.h"
#include "operator/coordinator/ledger_store.h"
#include "operator/coordinator/stage_options.h"
#include "operator/lease/lease_book.h"
#include "operator/ledger/failure_log.h"
#include "operator/ledger/ledger.h"

namespace backfill::coordinator {

// Writes batches of one stage, elsewhere: Write() returns at once. In order, up to the first
// failure. The outcome comes back by StageRun::OnWritten, on the thread that called.
class LedgerWriter {
 public:
  virtual ~LedgerWriter() = default;
  virtual void Write(std::vector<LedgerWrite> batch) = 0;
};

// Decides what of a ledger is written when. One batch is under way at a time; pages of failures
// stand in it before the chunks that count them. What could not be written is repeated as it was,
// with back-off, until it is confirmed: a newer image never overtakes it.
//
// Not thread-safe; the time is an argument. The references must outlive it.
class LedgerFlush {
 public:
  enum class Mode {
    kPaced,       // what a worker waits for at once, the rest every cursor_flush
    kEverything,  // all that is dirty, now, through to the disk
  };
  struct Confirmed {
    int chunk = 0;
    std::uint64_t sequence = 0;
  };

  LedgerFlush(ledger::Ledger& ledger, ledger::FailureLog& failures, Epoch epoch,
              LedgerWriter& writer, const StageOptions& options);

  void Pump(const lease::LeaseBook& book, Mode mode, Time now);
  // The chunks that have become durable.
  std::vector<Confirmed> OnOutcome(const WriteOutcome& outcome, Time now);

  // Everything is durable.
  [[nodiscard]] bool Clean() const;
  // kUnavailable: it is being retried, gone with the next success. Any other: it will not be
  // written any more.
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }
  [[nodiscard]] bool failed() const { return error_ && !IsTransient(*error_); }

 private:
  static bool IsTransient(const Error& error);
  void AddPages(kube::Durability durability);
  void AddChunk(int chunk, kube::Durability durability);
  void Submit();

  ledger::Ledger& ledger_;
  ledger::FailureLog& failures_;
  const Epoch epoch_;
  LedgerWriter& writer_;
  const StageOptions options_;

  std::vector<LedgerWrite> batch_;  // not confirmed yet
  bool under_way_ = false;
  Time retry_at_{};
  Duration backoff_{};
  std::optional<Error> error_;
  std::optional<Time> waited_at_, cursors_at_;  // the last time that such a batch was made
  std::minstd_rand jitter_;
};

}  // namespace backfill::coordinator
