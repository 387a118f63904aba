#pragma once

#include <cstdint>
#include <deque>
#include <map>
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

// Decides what of a ledger is written when, and in which order:
// - the pages of the failure log before the chunks that count their failures;
// - a cut (failures of earlier attempts that no longer stand) after the chunk that begins the next
//   attempt, and before that chunk counts as confirmed, so before the attempt is granted. A leader
//   that dies between the two leaves an attempt without a cut, which its successor repairs
//   (TakeOver); a cut without an attempt would void failures of a worker that comes back.
// One batch is under way at a time. What could not be written is repeated as it was, with back-off,
// until it is confirmed: a newer image never overtakes it.
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
              LedgerWriter& writer, const StageOptions& options, Time now);

  // To be written after the change that the ledger has just seen.
  void Cut(const lease::Supersede& cut);

  void Pump(const lease::LeaseBook& book, Mode mode, Time now);
  void OnOutcome(const WriteOutcome& outcome, Time now);
  // The chunks that have become durable with all that belongs to them, in the order of their
  // writes; each is returned once.
  std::vector<Confirmed> TakeConfirmed();

  // The batch with all failures that are listed now, made already or the next one.
  [[nodiscard]] std::uint64_t BatchOfFailures() const {
    return failures_.DirtyPages().empty() ? batches_made_ : batches_made_ + 1;
  }
  [[nodiscard]] bool IsDurable(std::uint64_t batch) const { return batch <= batches_durable_; }

  // Everything is durable.
  [[nodiscard]] bool Clean() const;
  // What was changed before then is durable.
  [[nodiscard]] Time durable_as_of() const { return durable_as_of_; }
  // kUnavailable: it is being retried, gone with the next success. Any other: it will not be
  // written any more.
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }
  [[nodiscard]] bool failed() const { return error_ && !IsTransient(*error_); }

 private:
  struct WaitingCut {
    std::uint64_t sequence = 0;  // of the first image that has the next attempt
    lease::Supersede cut;
  };
  struct WaitingChunk {
    Confirmed confirmed;
    std::uint64_t batch = 0;  // must be durable first: it has the cuts
  };

  static bool IsTransient(const Error& error);
  [[nodiscard]] bool MayWriteWaited(Time now) const;
  bool ApplyCuts(const Confirmed& confirmed);
  void AddPages(kube::Durability durability);
  void AddChunk(int chunk, kube::Durability durability);
  void Submit();

  ledger::Ledger& ledger_;
  ledger::FailureLog& failures_;
  const Epoch epoch_;
  LedgerWriter& writer_;
  const StageOptions options_;

  std::vector<LedgerWrite> batch_;  // not confirmed yet
  std::uint64_t batches_made_ = 0;
  std::uint64_t batches_durable_ = 0;
  std::map<int, std::vector<WaitingCut>> cuts_;  // by chunk
  std::deque<WaitingChunk> confirmed_;
  bool under_way_ = false;
  Time retry_at_{};
  Duration backoff_{};
  std::optional<Error> error_;
  std::optional<Time> cursors_at_;      // the last time that such a batch was made
  Time waited_until_;                   // the time that those waited for have taken up
  std::optional<Time> complete_as_of_;  // of batch_, if it left nothing out
  Time durable_as_of_;
  std::minstd_rand jitter_;
};

}  // namespace backfill::coordinator
