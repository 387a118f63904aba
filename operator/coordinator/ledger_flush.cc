#include "operator/coordinator/ledger_flush.h"

#include <algorithm>
#include <utility>

namespace backfill::coordinator {

LedgerFlush::LedgerFlush(ledger::Ledger& ledger, ledger::FailureLog& failures, Epoch epoch,
                         LedgerWriter& writer, const StageOptions& options, Time now)
    : ledger_(ledger),
      failures_(failures),
      epoch_(epoch),
      writer_(writer),
      options_(options),
      backoff_(options.min_backoff),
      waited_until_(now),
      durable_as_of_(now),
      jitter_(options.jitter_seed != 0 ? options.jitter_seed : std::random_device{}()) {}

void LedgerFlush::Cut(const lease::Supersede& cut) {
  const int chunk = ledger::Ledger::ChunkOf(cut.shard);
  cuts_[chunk].push_back({.sequence = ledger_.SequenceOf(chunk) + 1, .cut = cut});
}

// Whether there were any.
bool LedgerFlush::ApplyCuts(const Confirmed& confirmed) {
  const auto it = cuts_.find(confirmed.chunk);
  if (it == cuts_.end()) return false;
  std::vector<WaitingCut>& waiting = it->second;
  const auto due = std::ranges::find_if(
      waiting, [&](const WaitingCut& w) { return w.sequence > confirmed.sequence; });
  const bool any = due != waiting.begin();
  for (auto w = waiting.begin(); w != due; ++w) {
    failures_.Supersede(w->cut.shard, w->cut.next_attempt, w->cut.from, w->cut.done_above);
  }
  waiting.erase(waiting.begin(), due);
  if (waiting.empty()) cuts_.erase(it);
  return any;
}

std::vector<LedgerFlush::Confirmed> LedgerFlush::TakeConfirmed() {
  std::vector<Confirmed> taken;
  while (!confirmed_.empty() && confirmed_.front().batch <= batches_durable_) {
    taken.push_back(confirmed_.front().confirmed);
    confirmed_.pop_front();
  }
  return taken;
}

// Each takes up its part of the time; those in a row may be ahead of it.
bool LedgerFlush::MayWriteWaited(Time now) const {
  return waited_until_ <= now + (options_.waited_in_a_row - 1) * options_.waited_flush;
}

void LedgerFlush::Pump(const lease::LeaseBook& book, Mode mode, Time now) {
  if (under_way_ || failed()) return;
  if (!batch_.empty()) {
    if (now >= retry_at_) Submit();
    return;
  }
  std::vector<int> waited, others;
  for (int chunk = 0; chunk < ledger_.chunks(); ++chunk) {
    if (!ledger_.IsDirty(chunk)) continue;
    const bool urgent =
        mode == Mode::kEverything || book.UrgencyOf(chunk) == lease::Urgency::kWaited;
    (urgent ? waited : others).push_back(chunk);
  }
  if (waited.empty() && others.empty() && failures_.DirtyPages().empty()) durable_as_of_ = now;
  const bool everything = mode == Mode::kEverything;
  const auto due = [now](const std::optional<Time>& last, Duration apart) {
    return !last || now - *last >= apart;
  };
  const bool cut = std::ranges::any_of(
      confirmed_, [this](const WaitingChunk& w) { return w.batch > batches_made_; });
  const bool awaited = everything || ((cut || !waited.empty()) && MayWriteWaited(now));
  const bool cursors = due(cursors_at_, options_.cursor_flush);
  if (!awaited && !cursors) return;
  AddPages(awaited ? kube::Durability::kPower : kube::Durability::kProcess);
  if (awaited) {
    waited_until_ = std::max(waited_until_, now) + options_.waited_flush;
    for (const int chunk : waited) AddChunk(chunk, kube::Durability::kPower);
  }
  if (cursors) {  // also in a batch that is awaited: there may always be one
    cursors_at_ = now;
    for (const int chunk : others) AddChunk(chunk, kube::Durability::kProcess);
  }
  if (batch_.empty()) return;
  if (cursors && (awaited || waited.empty())) complete_as_of_ = now;
  ++batches_made_;
  Submit();
}

void LedgerFlush::AddPages(kube::Durability durability) {
  for (const int page : failures_.DirtyPages()) {
    batch_.push_back({LedgerWrite::Kind::kPage, failures_.EncodePage(page, epoch_), durability});
  }
}

void LedgerFlush::AddChunk(int chunk, kube::Durability durability) {
  batch_.push_back({LedgerWrite::Kind::kChunk, ledger_.Encode(chunk, epoch_), durability});
}

void LedgerFlush::Submit() {
  under_way_ = true;
  writer_.Write(batch_);
}

bool LedgerFlush::IsTransient(const Error& error) {
  return error.code == ErrorCode::kUnavailable || error.code == ErrorCode::kDeadline ||
         error.code == ErrorCode::kAborted;
}

void LedgerFlush::OnOutcome(const WriteOutcome& outcome, Time now) {
  under_way_ = false;
  const std::size_t written = std::min(outcome.written, batch_.size());
  for (std::size_t i = 0; i < written; ++i) {
    const LedgerWrite& write = batch_[i];
    if (write.kind != LedgerWrite::Kind::kChunk) continue;
    const Confirmed confirmed{write.image.chunk, write.image.sequence};
    const bool cut = ApplyCuts(confirmed);
    confirmed_.push_back({confirmed, cut ? batches_made_ + 1 : 0});
  }
  batch_.erase(batch_.begin(), batch_.begin() + static_cast<std::ptrdiff_t>(written));
  if (outcome.status.ok()) {
    batches_durable_ = batches_made_;
    if (complete_as_of_) durable_as_of_ = *complete_as_of_;
    complete_as_of_.reset();
    error_.reset();
    backoff_ = options_.min_backoff;
    return;
  }
  error_ = outcome.status.error();
  if (IsTransient(*error_)) {
    error_->code = ErrorCode::kUnavailable;
    // Half of it is fixed, so that a store in trouble gets rest; half is random, so that stages do
    // not return together.
    std::uniform_int_distribution<Duration::rep> random(0, backoff_.count() / 2);
    retry_at_ = now + backoff_ / 2 + Duration(random(jitter_));
    backoff_ = std::min(2 * backoff_, options_.max_backoff);
  } else {
    // What a predecessor can still write after our stamps, it cannot: whoever did, this leader is
    // not alone.
    if (error_->code == ErrorCode::kExpired) error_->code = ErrorCode::kConflict;
    batch_.clear();
  }
}

bool LedgerFlush::Clean() const {
  if (!batch_.empty() || !failures_.DirtyPages().empty()) return false;
  for (int chunk = 0; chunk < ledger_.chunks(); ++chunk) {
    if (ledger_.IsDirty(chunk)) return false;
  }
  return true;
}

}  // namespace backfill::coordinator
