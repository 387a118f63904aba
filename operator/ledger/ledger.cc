#include "operator/ledger/ledger.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <limits>
#include <optional>
#include <utility>

#include "operator/ledger/codec.h"

namespace backfill::ledger {
namespace {

// A change that would corrupt the ledger is a fault of the caller. Ending the process keeps it out
// of the store, and a restart continues from what is durable.
void Require(bool holds) {
  if (!holds) std::abort();
}

std::uint64_t SaturatingAdd(std::uint64_t a, std::uint64_t b) {
  std::uint64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? std::numeric_limits<std::uint64_t>::max() : sum;
}

void Accumulate(std::uint64_t& to, std::uint64_t n, bool add) { to = add ? to + n : to - n; }

// Slots 0..n-1 and 500..500+m-1, as Chunk::shards has them. nullopt: others.
std::optional<int> PlannedSlots(const std::vector<Shard>& shards) {
  int planned = 0;
  int split = 0;
  for (const Shard& s : shards) {
    const int slot = s.id.value % kSlotsPerChunk;
    if (slot == planned && slot < kShardsPerChunk && split == 0) {
      ++planned;
    } else if (slot == kShardsPerChunk + split) {
      ++split;
    } else {
      return std::nullopt;
    }
  }
  return planned;
}

// Ranges in order of key; `*end` is the end of what came before them, or absent at the very
// beginning.
bool AreContiguous(const std::vector<Shard>& shards, std::optional<Position>* end) {
  std::vector<Range> ranges;
  ranges.reserve(shards.size());
  for (const Shard& s : shards) ranges.push_back(s.range);
  std::ranges::sort(ranges);
  for (const Range& r : ranges) {
    if (*end && **end != r.begin) return false;
    *end = r.end;
  }
  return true;
}

}  // namespace

Ledger Ledger::FromPlan(const plan::Plan& plan) {
  Require(std::cmp_less_equal(plan.shards.size(), plan::kMaxShards));
  Ledger ledger;
  ledger.plan_hash_ = plan.hash;
  if (plan.file) ledger.file_shape_ = plan.file->shape;
  const std::size_t chunks =
      std::max<std::size_t>(1, (plan.shards.size() + kShardsPerChunk - 1) / kShardsPerChunk);
  ledger.chunks_.resize(chunks);
  for (std::size_t i = 0; i < plan.shards.size(); ++i) {
    Chunk& chunk = ledger.chunks_[i / kShardsPerChunk];
    Shard s;
    s.id = {static_cast<std::int32_t>(i / kShardsPerChunk * kSlotsPerChunk + i % kShardsPerChunk)};
    s.range = plan.shards[i].range;
    s.planned = plan.shards[i].records;
    s.cursor = s.range.begin;
    Require(Inconsistency(s).empty() && (i == 0 || plan.shards[i - 1].range.end == s.range.begin));
    ledger.Count(s, true);
    chunk.shards.push_back(std::move(s));
    ++chunk.planned;
    Require(plan.shards[i].extent.has_value() == plan.file.has_value());
    if (plan.shards[i].extent) chunk.extents.push_back(*plan.shards[i].extent);
  }
  for (Chunk& c : ledger.chunks_) c.dirty = true;
  return ledger;
}

Result<Ledger> Ledger::FromChunks(const std::vector<std::string>& chunks) {
  if (chunks.empty()) return Error{ErrorCode::kInvalid, "the ledger has no chunk"};
  Ledger ledger;
  std::optional<Position> end;
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    const auto fail = [i](std::string_view what) {
      return Error{ErrorCode::kInvalid, std::string(what)}.Annotate("ledger chunk " +
                                                                    std::to_string(i));
    };
    Result<DecodedChunk> decoded = DecodeChunk(chunks[i]);
    if (!decoded.ok()) return fail(decoded.error().message);
    const ChunkHeader& header = decoded->header;
    if (std::cmp_not_equal(header.chunk, i)) return fail("holds another chunk");
    if (std::cmp_not_equal(header.chunks, chunks.size())) {
      return fail("belongs to a ledger of " + std::to_string(header.chunks) + " chunks, not " +
                  std::to_string(chunks.size()));
    }
    if (i == 0) {
      ledger.plan_hash_ = header.plan_hash;
      ledger.file_shape_ = std::move(decoded->file.shape);
    }
    if (header.plan_hash != ledger.plan_hash_) return fail("belongs to another plan");
    const std::optional<int> planned = PlannedSlots(decoded->shards);
    const bool last = i + 1 == chunks.size();
    if (!planned || (!last && *planned != kShardsPerChunk) || (i > 0 && *planned == 0)) {
      return fail("a shard is missing");
    }
    if (!AreContiguous(decoded->shards, &end)) return fail("a range is missing or overlaps");
    if (decoded->file.extents.empty() == ledger.file_shape_.has_value() && *planned > 0) {
      return fail("extents of a file are missing or have none");
    }
    for (const Shard& s : decoded->shards) ledger.Count(s, true);
    ledger.totals_.redone_at_most =
        SaturatingAdd(ledger.totals_.redone_at_most, header.redone_at_most);
    ledger.highest_epoch_ = std::max(ledger.highest_epoch_, header.epoch);
    ledger.chunks_.push_back({.shards = std::move(decoded->shards),
                              .planned = *planned,
                              .extents = std::move(decoded->file.extents),
                              .epoch = header.epoch,
                              .sequence = header.sequence,
                              .redone_at_most = header.redone_at_most});
  }
  return ledger;
}

Shard* Ledger::Lookup(ShardId id) {
  if (id.value < 0 || std::cmp_greater_equal(ChunkOf(id), chunks_.size())) return nullptr;
  Chunk& chunk = chunks_[static_cast<std::size_t>(ChunkOf(id))];
  const int slot = id.value % kSlotsPerChunk;
  const int index = slot < kShardsPerChunk ? slot : chunk.planned + slot - kShardsPerChunk;
  if (slot < kShardsPerChunk && slot >= chunk.planned) return nullptr;
  if (std::cmp_greater_equal(index, chunk.shards.size())) return nullptr;
  return &chunk.shards[static_cast<std::size_t>(index)];
}

const Shard* Ledger::Find(ShardId id) const { return const_cast<Ledger*>(this)->Lookup(id); }

const rows::Extent* Ledger::ExtentOf(ShardId id) const {
  const Shard* const shard = Find(id);
  if (shard == nullptr) return nullptr;
  const std::vector<rows::Extent>& extents = chunks_[static_cast<std::size_t>(ChunkOf(id))].extents;
  const auto after =
      std::ranges::upper_bound(extents, shard->range.begin, {}, &rows::Extent::first);
  return after == extents.begin() ? nullptr : &*std::prev(after);
}

void Ledger::Update(const Shard& next) {
  Shard* const now = Lookup(next.id);
  Require(now != nullptr && now->range == next.range && Inconsistency(next).empty());
  Require(next.attempt >= now->attempt && next.cursor >= now->cursor &&
          next.counts.total() >= now->counts.total());
  Require(now->state != ShardState::kDone || next.state == ShardState::kDone);
  Count(*now, false);
  *now = next;
  Count(*now, true);
  Touch(ChunkOf(next.id));
}

bool Ledger::HasRoomToSplit(ShardId parent) const {
  const Chunk& chunk = chunks_.at(static_cast<std::size_t>(ChunkOf(parent)));
  return std::cmp_less(chunk.shards.size(), chunk.planned + (kSlotsPerChunk - kShardsPerChunk));
}

Result<ShardId> Ledger::Split(ShardId parent, Position at) {
  Shard* const whole = Lookup(parent);
  Require(whole != nullptr && whole->state != ShardState::kDone);
  if (!HasRoomToSplit(parent)) {
    return Error{ErrorCode::kConflict,
                 "no slot is left to split off shard " + std::to_string(parent.value)};
  }
  Shard first = *whole;
  first.range.end = at;
  Require(whole->range.begin < at && at < whole->range.end);
  Shard rest;
  Chunk& chunk = chunks_[static_cast<std::size_t>(ChunkOf(parent))];
  rest.id = {ChunkOf(parent) * kSlotsPerChunk + kShardsPerChunk +
             static_cast<std::int32_t>(chunk.shards.size()) - chunk.planned};
  rest.range = {at, whole->range.end};
  rest.planned = rest.range.size();
  rest.cursor = at;
  first.planned = first.range.size();
  Require(Inconsistency(first).empty());
  Count(*whole, false);
  *whole = std::move(first);
  Count(*whole, true);
  Count(rest, true);
  const ShardId id = rest.id;
  chunk.shards.push_back(std::move(rest));  // last: invalidates `whole`
  Touch(ChunkOf(parent));
  return id;
}

void Ledger::AddRedone(ShardId shard, std::uint64_t records) {
  Chunk& chunk = chunks_.at(static_cast<std::size_t>(ChunkOf(shard)));
  chunk.redone_at_most = SaturatingAdd(chunk.redone_at_most, records);
  totals_.redone_at_most = SaturatingAdd(totals_.redone_at_most, records);
  chunk.dirty = true;
}

ChunkImage Ledger::Encode(int chunk, Epoch epoch) {
  Require(epoch >= highest_epoch_);
  highest_epoch_ = epoch;
  Chunk& c = chunks_.at(static_cast<std::size_t>(chunk));
  c.epoch = epoch;
  ++c.sequence;
  c.dirty = false;
  return {.chunk = chunk,
          .sequence = c.sequence,
          .data = EncodeChunk(
              {.plan_hash = plan_hash_,
               .epoch = epoch,
               .sequence = c.sequence,
               .chunk = chunk,
               .chunks = chunks(),
               .redone_at_most = c.redone_at_most},
              c.shards, {.extents = c.extents, .shape = chunk == 0 ? file_shape_ : std::nullopt})};
}

bool Ledger::IsDirty(int chunk) const { return chunks_.at(static_cast<std::size_t>(chunk)).dirty; }

std::uint64_t Ledger::SequenceOf(int chunk) const {
  return chunks_.at(static_cast<std::size_t>(chunk)).sequence;
}

Epoch Ledger::EpochOf(int chunk) const { return chunks_.at(static_cast<std::size_t>(chunk)).epoch; }

void Ledger::Touch(int chunk) { chunks_.at(static_cast<std::size_t>(chunk)).dirty = true; }

void Ledger::Count(const Shard& s, bool add) {
  Accumulate(totals_.planned, s.planned, add);
  Accumulate(totals_.counts.updated, s.counts.updated, add);
  Accumulate(totals_.counts.unchanged, s.counts.unchanged, add);
  Accumulate(totals_.counts.skipped, s.counts.skipped, add);
  Accumulate(totals_.counts.failed, s.counts.failed, add);
  const std::int64_t sign = add ? 1 : -1;
  totals_.shards += sign;
  switch (s.state) {
    case ShardState::kPending:
      totals_.shards_pending += sign;
      break;
    case ShardState::kInFlight:
      totals_.shards_in_flight += sign;
      break;
    case ShardState::kDone:
      totals_.shards_done += sign;
      break;
  }
}

}  // namespace backfill::ledger
