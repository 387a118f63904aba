#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/range.h"
#include "base/result.h"
#include "operator/ledger/ledger.h"

namespace backfill::ledger {

enum class FailureClass { kTransient, kPermanent, kTimeout, kConflict };
std::string_view ToString(FailureClass c);  // "transient", ...

struct FailedRecord {
  ShardId shard;
  Attempt attempt;  // of the lease under which it failed
  Position position = 0;
  std::string key;
  FailureClass failure_class = FailureClass::kPermanent;
  std::uint32_t attempts = 0;
  std::string message;
  bool operator==(const FailedRecord&) const = default;
};

// The failed records of one stage, appended in pages of at most 200 entries. Pure, not thread-safe; whoever owns it
// writes the pages, and writes them before the ledger chunk that counts the failures.
//
// After a shard is given away again from (cursor, done_above), what its earlier attempts recorded beyond that will be
// done again and no longer stands: Supersede() appends that to the log.
class FailureLog {
 public:
  static constexpr std::size_t kEntriesPerPage = 200;

  FailureLog() = default;
  static Result<FailureLog> FromPages(const std::vector<std::string>& pages);

  // Repeating a record of the same (shard, attempt, position) changes nothing.
  void Append(const FailedRecord& record);
  void Supersede(ShardId shard, Attempt next_attempt, Position from, const std::string& done_above);

  // The records that stand, ordered by shard, then position. As many as the ledger counts as failed, once both are flushed.
  [[nodiscard]] std::vector<FailedRecord> Standing() const;

  [[nodiscard]] std::vector<int> DirtyPages() const;
  // Encodes a page (proto backfill.v1.FailurePage) and marks it clean. Pages are numbered from 0.
  ChunkImage EncodePage(int page, Epoch epoch);

 private:
  struct Entry {
    bool superseded = false;
    FailedRecord record;     // shard, attempt and, of a supersede entry, position = from
    std::string done_above;  // of a supersede entry
  };
  struct Page {
    std::vector<Entry> entries;
    std::uint64_t sequence = 0;
    bool dirty = false;
  };
  std::vector<Page> pages_;
  std::map<std::pair<ShardId, Attempt>, std::map<Position, bool>> seen_;
};

}  // namespace backfill::ledger
