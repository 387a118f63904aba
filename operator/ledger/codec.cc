#include "operator/ledger/codec.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <utility>

#include "backfill/v1/ledger.pb.h"
#include "operator/ledger/frame.h"
#include "operator/ledger/ledger.h"

namespace backfill::ledger {
namespace {

constexpr std::uint32_t kColumns = 1;
constexpr std::uint32_t kDeflated = 2;
constexpr std::size_t kDeflateFrom = std::size_t{64} << 10;

Error Invalid(std::string what) { return Error{ErrorCode::kInvalid, std::move(what)}; }

bool HasProgress(const Shard& s) { return s.cursor != s.range.begin || !s.done_above.empty(); }

std::string Serialize(const v1::LedgerChunk& message) {
  std::string bytes;
  if (!message.SerializeToString(&bytes)) std::abort();  // only beyond 2 GiB
  return Seal(std::move(bytes));
}

Result<v1::LedgerChunk> Parse(std::string_view data) {
  const std::string_view message = TRY(Unseal(data));
  v1::LedgerChunk chunk;
  if (!chunk.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
    return Invalid("cannot be parsed");
  }
  return chunk;
}

Result<v1::LedgerChunk> ParseColumns(std::string_view data) {
  v1::LedgerChunk outer = TRY(Parse(data));
  if (outer.codec() == kDeflated) {
    const std::string inner = TRY(Inflate(outer.deflated()));
    outer = TRY(Parse(inner));
  }
  if (outer.codec() != kColumns) {
    return Invalid("codec " + std::to_string(outer.codec()) + " is not known to this version");
  }
  return outer;
}

bool ColumnsHaveEqualLength(const v1::LedgerChunk& m) {
  const int n = m.slot_size();
  return m.begin_size() == n && m.size_size() == n && m.planned_size() == n &&
         m.state_size() == n && m.attempt_size() == n && m.updated_size() == n &&
         m.unchanged_size() == n && m.skipped_size() == n && m.failed_size() == n;
}

Result<std::vector<Shard>> ReadColumns(const v1::LedgerChunk& m) {
  if (!ColumnsHaveEqualLength(m)) return Invalid("columns of different length");
  if (m.slot_size() > kSlotsPerChunk) return Invalid("too many shards");
  std::vector<Shard> shards;
  shards.reserve(static_cast<std::size_t>(m.slot_size()));
  std::uint64_t slot = 0;
  std::uint64_t previous_end = 0;  // unsigned: deltas wrap
  for (int i = 0; i < m.slot_size(); ++i) {
    if (i > 0 && m.slot(i) == 0) return Invalid("two shards in one slot");
    slot += m.slot(i);
    if (slot >= kSlotsPerChunk) return Invalid("a slot out of bounds");
    const auto begin = static_cast<Position>(previous_end + static_cast<std::uint64_t>(m.begin(i)));
    const Position end = Advance(begin, m.size(i));
    previous_end = static_cast<std::uint64_t>(end);
    Shard s;
    s.id = {static_cast<std::int32_t>(m.chunk()) * kSlotsPerChunk +
            static_cast<std::int32_t>(slot)};
    s.range = {begin, end};
    if (end < begin) return Invalid("a range out of bounds");
    s.planned = m.planned(i) == 0 ? m.size(i) : m.planned(i);
    if (m.state(i) > static_cast<std::uint32_t>(ShardState::kDone))
      return Invalid("an unknown state");
    s.state = static_cast<ShardState>(m.state(i));
    s.attempt = {m.attempt(i)};
    s.counts = {m.updated(i), m.unchanged(i), m.skipped(i), m.failed(i)};
    s.cursor = s.state == ShardState::kDone ? end : begin;
    shards.push_back(std::move(s));
  }
  return shards;
}

// Both lists ascend by slot.
Status ReadInFlight(const v1::LedgerChunk& m, std::vector<Shard>& shards) {
  std::size_t next = 0;
  for (const v1::InFlightShard& f : m.in_flight()) {
    while (next < shards.size() &&
           static_cast<std::uint32_t>(shards[next].id.value % kSlotsPerChunk) < f.slot()) {
      ++next;
    }
    if (next == shards.size() ||
        static_cast<std::uint32_t>(shards[next].id.value % kSlotsPerChunk) != f.slot()) {
      return Invalid("a cursor without a shard");
    }
    Shard& s = shards[next++];
    if (s.state == ShardState::kDone) return Invalid("a cursor in a shard that is done");
    if (f.cursor_offset() > s.range.size()) return Invalid("a cursor outside the range");
    s.holder = f.holder();
    s.epoch = {f.epoch()};
    s.cursor = Advance(s.range.begin, f.cursor_offset());
    s.done_above = f.done_above();
    s.in_flight = f.in_flight();
  }
  return Ok{};
}

void WriteFile(const ChunkFile& file, v1::LedgerChunk& m) {
  std::uint64_t previous_end = 0;  // unsigned: deltas wrap
  std::uint64_t previous_line = 0;
  for (const rows::Extent& e : file.extents) {
    m.add_extent_offset(static_cast<std::int64_t>(e.offset - previous_end));
    m.add_extent_bytes(e.bytes);
    m.add_extent_line(e.line - previous_line);
    m.add_extent_crc32c(e.crc32c);
    previous_end = e.offset + e.bytes;
    previous_line = e.line;
  }
  if (!file.shape) return;
  v1::FileShape& shape = *m.mutable_file_shape();
  if (file.shape->stored_bytes) shape.set_stored_bytes(*file.shape->stored_bytes);
  for (const std::string& column : file.shape->columns) shape.add_columns(column);
}

// A planned slot keeps its begin whatever is split off it, and the slots of a chunk leave no gap:
// that says which records each extent has.
Result<ChunkFile> ReadFile(const v1::LedgerChunk& m, const std::vector<Shard>& shards) {
  ChunkFile file;
  if (m.has_file_shape()) {
    rows::FileShape& shape = file.shape.emplace();
    if (m.file_shape().has_stored_bytes()) shape.stored_bytes = m.file_shape().stored_bytes();
    shape.columns.assign(m.file_shape().columns().begin(), m.file_shape().columns().end());
  }
  const int n = m.extent_offset_size();
  if (m.extent_bytes_size() != n || m.extent_line_size() != n || m.extent_crc32c_size() != n)
    return Invalid("columns of extents of different length");
  if (n == 0) return file;
  std::vector<Position> begins;
  Position end = std::numeric_limits<Position>::min();
  for (const Shard& s : shards) {
    if (s.id.value % kSlotsPerChunk < kShardsPerChunk) begins.push_back(s.range.begin);
    end = std::max(end, s.range.end);
  }
  if (std::cmp_not_equal(begins.size(), n)) return Invalid("extents of other shards");
  begins.push_back(end);
  std::uint64_t previous_end = 0;
  std::uint64_t line = 0;
  for (int i = 0; i < n; ++i) {
    const auto at = static_cast<std::size_t>(i);
    if (begins[at + 1] <= begins[at]) return Invalid("extents out of order");
    line += m.extent_line(i);
    const std::uint64_t offset = previous_end + static_cast<std::uint64_t>(m.extent_offset(i));
    file.extents.push_back({.first = begins[at],
                            .records = Range{begins[at], begins[at + 1]}.size(),
                            .offset = offset,
                            .bytes = m.extent_bytes(i),
                            .line = line,
                            .crc32c = m.extent_crc32c(i)});
    previous_end = offset + m.extent_bytes(i);
  }
  return file;
}

}  // namespace

std::string EncodeChunk(const ChunkHeader& header, const std::vector<Shard>& shards,
                        const ChunkFile& file) {
  v1::LedgerChunk m;
  m.set_codec(kColumns);
  m.set_plan_hash(header.plan_hash);
  m.set_epoch(header.epoch.value);
  m.set_sequence(header.sequence);
  m.set_chunk(static_cast<std::uint32_t>(header.chunk));
  m.set_chunks(static_cast<std::uint32_t>(header.chunks));
  m.set_redone_at_most(header.redone_at_most);
  std::uint32_t previous_slot = 0;
  std::uint64_t previous_end = 0;
  for (const Shard& s : shards) {
    const auto slot = static_cast<std::uint32_t>(s.id.value % kSlotsPerChunk);
    m.add_slot(slot - std::exchange(previous_slot, slot));
    m.add_begin(
        static_cast<std::int64_t>(static_cast<std::uint64_t>(s.range.begin) - previous_end));
    m.add_size(s.range.size());
    m.add_planned(s.planned == s.range.size() ? 0 : s.planned);
    m.add_state(static_cast<std::uint32_t>(s.state));
    m.add_attempt(s.attempt.value);
    m.add_updated(s.counts.updated);
    m.add_unchanged(s.counts.unchanged);
    m.add_skipped(s.counts.skipped);
    m.add_failed(s.counts.failed);
    previous_end = static_cast<std::uint64_t>(s.range.end);
    if (s.state == ShardState::kDone || (s.state == ShardState::kPending && !HasProgress(s)))
      continue;
    v1::InFlightShard* f = m.add_in_flight();
    f->set_slot(slot);
    f->set_holder(s.holder);
    f->set_epoch(s.epoch.value);
    f->set_cursor_offset(Range{s.range.begin, s.cursor}.size());
    f->set_done_above(s.done_above);
    f->set_in_flight(s.in_flight);
  }
  WriteFile(file, m);
  std::string plain = Serialize(m);
  if (plain.size() <= kDeflateFrom) return plain;
  v1::LedgerChunk outer;
  outer.set_codec(kDeflated);
  outer.set_deflated(Deflate(plain));
  return Serialize(outer);
}

Result<DecodedChunk> DecodeChunk(std::string_view data) {
  const v1::LedgerChunk m = TRY(ParseColumns(data));
  constexpr auto kMostChunks = static_cast<std::uint32_t>(plan::kMaxShards / kShardsPerChunk);
  if (m.chunks() == 0 || m.chunks() > kMostChunks || m.chunk() >= m.chunks()) {
    return Invalid("a chunk number out of bounds");
  }
  constexpr auto kMostNumber = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (m.sequence() > kMostNumber || m.epoch() > kMostNumber) {
    return Invalid("an epoch or sequence number out of bounds");  // both still have to grow
  }
  DecodedChunk out;
  out.header = {.plan_hash = m.plan_hash(),
                .epoch = {m.epoch()},
                .sequence = m.sequence(),
                .chunk = static_cast<int>(m.chunk()),
                .chunks = static_cast<int>(m.chunks()),
                .redone_at_most = m.redone_at_most()};
  out.shards = TRY(ReadColumns(m));
  TRY(ReadInFlight(m, out.shards));
  out.file = TRY(ReadFile(m, out.shards));
  for (const Shard& s : out.shards) {
    const std::string_view problem = Inconsistency(s);
    if (!problem.empty()) {
      return Invalid("shard " + std::to_string(s.id.value) + " has " + std::string(problem));
    }
  }
  return out;
}

}  // namespace backfill::ledger
