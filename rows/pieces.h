#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "rows/extent.h"
#include "rows/row_scanner.h"

namespace backfill::rows {

// Cuts a stream of rows into pieces on the way, when it is not known yet how many will come, and
// joins neighbours later. Memory is bounded: when there are too many pieces, neighbours are joined
// and from there on pieces are larger. A piece spans from its first row to the end of its last one;
// blank lines around it belong to none. It has at most kMaxShardBytes, or one row that is too long.
class Pieces {
 public:
  struct Limits {
    std::uint64_t records = 1'000;  // in a piece
    bool join = true;               // pieces may become larger than that
    std::size_t pieces = 200'000;   // that are held
  };

  explicit Pieces(Limits limits);

  // Takes a batch of the scanner, also an empty one. In order, none left out.
  // kInvalid: more pieces than can be held, even joined to kMaxShardBytes each.
  Status Add(const RowBatch& batch);

  // Nothing more comes. Joins neighbours while they have at most `records` together.
  std::vector<Extent> Finish(std::uint64_t records);

  // How many pieces there are, also those that were counted only since `join` is false and there
  // are too many.
  [[nodiscard]] std::uint64_t count() const { return count_; }

 private:
  struct Piece {
    std::uint64_t records = 0;
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
    std::uint64_t line = 0;
    // With the blank lines up to the next piece, which lie inside once the two are joined.
    std::uint64_t bytes_to_next = 0;
    std::uint32_t crc = 0;
    std::uint32_t crc_to_next = 0;
    bool alone = false;  // a row that is too long
  };

  std::size_t AddFitting(std::span<const Row> rows);
  void AddRow(const RowBatch& batch, const Row& row);
  void Open(const RowBatch& batch, std::uint64_t offset);
  void Close();
  void Feed(const RowBatch& batch, std::uint64_t to);
  void Join(std::uint64_t records);

  const bool join_;
  const std::size_t max_pieces_;
  std::uint64_t piece_records_;

  std::vector<Piece> pieces_;
  std::uint64_t count_ = 0;

  bool open_ = false;
  Piece piece_;            // the open one; `bytes` and `crc` up to its last row
  std::uint64_t fed_ = 0;  // up to here `running_` counts, from piece_.offset on
  std::uint32_t running_ = 0;
};

}  // namespace backfill::rows
