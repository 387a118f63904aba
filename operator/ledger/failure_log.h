#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/range.h"
#include "base/result.h"
#include "operator/ledger/ledger.h"

namespace backfill::ledger {

enum class FailureClass { kTransient, kPermanent, kTimeout, kConflict };
std::string_view ToString(FailureClass c);  // "transient", ...
// From the number that stands for it in proto/backfill/v1. One of a newer version is kPermanent:
// nothing says that a retry would help.
FailureClass ToFailureClass(int wire_value);

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

// The failed records of one stage, appended in pages of at most 200 entries. Pure, not thread-safe;
// whoever owns it writes the pages, and writes them before the ledger chunk that counts the
// failures.
//
// After a shard is given away again from (cursor, done_above), what its earlier attempts recorded
// beyond that will be done again and no longer stands: Supersede() appends that to the log.
class FailureLog {
 public:
  static constexpr std::size_t kEntriesPerPage = 200;

  FailureLog() = default;
  // What a page repeats of an earlier one counts once: a deposed leader's last page may have
  // arrived behind those that its successor wrote. Errors: kInvalid, "failure page 3: ...". Nothing
  // hostile in the bytes can crash it.
  static Result<FailureLog> FromPages(const std::vector<std::string>& pages);

  // Repeating a record of the same (shard, attempt, position) changes nothing. Key and message are
  // cut to 256 bytes, and what is not UTF-8 in them is replaced.
  void Append(const FailedRecord& record);
  void Supersede(ShardId shard, Attempt next_attempt, Position from, const std::string& done_above);

  // The records that stand, ordered by shard, then position. As many as the ledger counts as
  // failed, once both are flushed.
  [[nodiscard]] std::vector<FailedRecord> Standing() const;

  // How many records of the shard's attempt are listed of which it does not count the outcome yet.
  [[nodiscard]] std::size_t Uncounted(const Shard& shard) const;

  // Ascending. Write them in this order, so that a crash leaves no hole.
  [[nodiscard]] std::vector<int> DirtyPages() const;
  // Encodes a page (proto backfill.v1.FailurePage) and marks it clean. Pages are numbered from 0.
  // ChunkImage.chunk is the page.
  ChunkImage EncodePage(int page, Epoch epoch);

 private:
  struct Entry {
    bool superseded = false;
    FailedRecord record;  // of a supersede entry: shard, attempt and, as position, where it begins
    std::string done_above;  // of a supersede entry
  };
  struct Page {
    std::vector<Entry> entries;
    std::uint64_t sequence = 0;
  };
  void Add(Entry entry);
  [[nodiscard]] bool IsKnown(const FailedRecord& record) const;
  void Index(const Entry& entry);
  static Result<Page> DecodePage(std::string_view data, std::size_t expected_page);

  std::vector<Page> pages_;
  std::set<int> dirty_;
  std::map<std::pair<ShardId, Attempt>, std::set<Position>> seen_;
  std::map<ShardId, Attempt> next_;  // what comes late from an attempt before it is dropped
};

}  // namespace backfill::ledger
