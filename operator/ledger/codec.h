#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "operator/ledger/shard.h"
#include "rows/extent.h"

// A chunk of the ledger as bytes: proto backfill.v1.LedgerChunk. Columns of small deltas, a
// checksum, and deflate when it is large. The bytes are deterministic; a golden test keeps them
// from drifting.
namespace backfill::ledger {

struct ChunkHeader {
  std::string plan_hash;
  Epoch epoch;
  std::uint64_t sequence = 0;
  int chunk = 0;
  int chunks = 1;  // of the whole ledger
  std::uint64_t redone_at_most = 0;
  bool operator==(const ChunkHeader&) const = default;
};

// Of a file source.
struct ChunkFile {
  std::vector<rows::Extent> extents = {};               // of the planned slots
  std::optional<rows::FileShape> shape = std::nullopt;  // in chunk 0
};

struct DecodedChunk {
  ChunkHeader header;
  ChunkFile file = {};
  std::vector<Shard> shards;  // ascending by id, each consistent in itself
};

// `shards`: of this chunk, ascending by id.
std::string EncodeChunk(const ChunkHeader& header, const std::vector<Shard>& shards,
                        const ChunkFile& file = {});

// kInvalid: whatever EncodeChunk() would not have written.
Result<DecodedChunk> DecodeChunk(std::string_view data);

}  // namespace backfill::ledger
