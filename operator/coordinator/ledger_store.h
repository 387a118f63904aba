#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "operator/coordinator/ledger_object.h"
#include "operator/kube/object_store.h"
#include "operator/ledger/failure_log.h"
#include "operator/ledger/ledger.h"
#include "operator/reconcile/stage_host.h"

namespace backfill::coordinator {

// One object to be written.
struct LedgerWrite {
  enum class Kind { kPage, kChunk };
  Kind kind = Kind::kChunk;
  ledger::ChunkImage image;
  kube::Durability durability = kube::Durability::kPower;
};

// How a batch of them ended: the first `written` are durable; an error says why the next one is
// not, as far as is known.
struct WriteOutcome {
  std::size_t written = 0;
  Status status = Ok{};
};

// Names of a stage's objects. Run: shop-1a2b3c4d-0007, failures shop-1a2b3c4d-f000002. Dry run:
// -d0007 and -e000002.
std::string ChunkName(const reconcile::StageKey& key, int chunk);
std::string PageName(const reconcile::StageKey& key, int page);

// The durable form of one stage's ledger: an object per chunk, an object per page of failures.
// Compares versions on each write, so a leader that has been replaced is refused.
//
// Not thread-safe: whoever opens the stage uses it first, then its writer only. The store must
// outlive it. Errors besides those of the store: kConflict (another leader has written, or the
// object is gone: give up), kInternal (an object is missing or damaged; nothing is overwritten).
class LedgerStore {
 public:
  // `at_once`: so many calls to the store are under way at a time, where their order says nothing.
  // An API server answers many as soon as one.
  LedgerStore(kube::ObjectStore& store, const reconcile::StageKey& key, int at_once = 1);

  // Stores a new ledger, chunk 0 last: a ledger without chunk 0 does not exist. What an interrupted
  // creation has left is replaced. kConflict when there is a ledger.
  Status Create(const std::vector<ledger::ChunkImage>& chunks, Epoch epoch);

  // Removes the chunks of a ledger, chunk 0 first.
  Status Remove();

  // All chunks in order, as operator/ledger decodes them. kNotFound: there is no ledger.
  Result<std::vector<std::string>> LoadChunks();

  // All failure pages in order; none is fine. After LoadChunks and, by a leader, after its stamps
  // are written: only then is every failure that the chunks count among them.
  Result<std::vector<std::string>> LoadPages();

  // Pages in order, before the chunks that come after them; a chunk is among them once. Up to the
  // first failure: what comes after it may have been written, too. A failure page that a leader
  // with a lower epoch wrote in the meantime is replaced: none of its chunks counts what stands in
  // it, and the workers repeat it.
  WriteOutcome Write(const std::vector<LedgerWrite>& batch, Epoch epoch);

 private:
  // What to do with an object that another writer has stored under our name.
  enum class Foreign { kGiveUp, kReplaceOlder, kReplace };
  struct Loaded {
    LedgerContent content;
    std::string version;
  };
  Result<kube::Object> Read(const std::string& name);
  Result<Loaded> Load(const std::string& name);
  // Names `first` to `first + n - 1`, in order, up to the first failure.
  std::vector<Result<Loaded>> LoadMany(std::string (*name)(const reconcile::StageKey&, int),
                                       int first, int n);
  // `version`: the one that is replaced, then the one that is there.
  Status WriteObject(const std::string& name, const ledger::ChunkImage& image, Epoch epoch,
                     kube::Durability durability, Foreign foreign, std::string& version);
  WriteOutcome WriteTogether(std::span<const LedgerWrite> writes, Epoch epoch);
  [[nodiscard]] kube::Object MakeObject(const std::string& name) const;

  kube::ObjectStore& store_;
  const reconcile::StageKey key_;
  const int at_once_;
  const std::string writer_;
  int chunks_ = 0;
  std::map<std::string, std::string> versions_;  // by object name, as of our last read or write
};

// For readers who do not lead: a consistent state of each object, not of all of them at one moment.

// The failed records that stand, ordered by shard and position; none where the stage never ran.
Result<std::vector<ledger::FailedRecord>> ReadFailures(kube::ObjectStore& store,
                                                       const reconcile::StageKey& key);

// kNotFound: the stage has no ledger.
Result<std::vector<ledger::Shard>> ReadShards(kube::ObjectStore& store,
                                              const reconcile::StageKey& key);

}  // namespace backfill::coordinator
