#include "operator/lease/write_waits.h"

#include <algorithm>

namespace backfill::lease {

WriteWaits::WriteWaits(const ledger::Ledger& ledger)
    : ledger_(ledger), chunks_(static_cast<std::size_t>(ledger.chunks())) {}

void WriteWaits::Add(const Wait& wait) {
  const int chunk = ledger::Ledger::ChunkOf(wait.shard);
  Want(chunk);
  Chunk& c = chunks_[static_cast<std::size_t>(chunk)];
  c.pending.push_back({c.wanted, wait});
  if (wait.kind == Kind::kDone) ++unrecorded_done_;
}

void WriteWaits::Want(int chunk) {
  chunks_[static_cast<std::size_t>(chunk)].wanted = ledger_.SequenceOf(chunk) + 1;
}

std::vector<WriteWaits::Wait> WriteWaits::OnWritten(int chunk, std::uint64_t sequence) {
  if (chunk < 0 || chunk >= ledger_.chunks()) return {};
  Chunk& c = chunks_[static_cast<std::size_t>(chunk)];
  c.written = std::max(c.written, sequence);
  std::vector<Wait> over;
  while (!c.pending.empty() && c.pending.front().sequence <= c.written) {
    over.push_back(c.pending.front().wait);
    if (over.back().kind == Kind::kDone) --unrecorded_done_;
    c.pending.pop_front();
  }
  return over;
}

bool WriteWaits::IsAwaited(int chunk) const {
  const Chunk& c = chunks_[static_cast<std::size_t>(chunk)];
  return c.wanted > c.written;
}

}  // namespace backfill::lease
