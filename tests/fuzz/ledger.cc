#include <string>

#include "operator/ledger/codec.h"
#include "operator/ledger/failure_log.h"
#include "operator/ledger/frame.h"
#include "operator/ledger/ledger.h"
#include "tests/fuzz/feedback.h"

// A chunk of the ledger, or a page of the failure log, as a store may hold it: refused with words,
// or read; and what was read is written so that it is read as the same. The bytes are those before
// the checksum, which few changes would survive.
namespace backfill::fuzz {
namespace {

void CheckChunk(const std::string& sealed) {
  const auto chunk = ledger::DecodeChunk(sealed);
  if (!chunk.ok()) return Saw(chunk.error().message);
  Saw("a chunk");
  const std::string bytes = ledger::EncodeChunk(chunk->header, chunk->shards, chunk->file);
  const auto again = ledger::DecodeChunk(bytes);
  Require(again.ok(), again.ok() ? "" : "what is written is read: " + again.error().message);
  Require(again->header == chunk->header && again->shards == chunk->shards, "it is the same");
  Require(again->file.extents == chunk->file.extents && again->file.shape == chunk->file.shape,
          "its file is the same");
}

void CheckLedger(const std::string& sealed) {
  auto ledger = ledger::Ledger::FromChunks({sealed});
  if (!ledger.ok()) return Saw(ledger.error().message);
  const ledger::Totals totals = ledger->totals();
  Require(totals.counts.total() <= totals.planned, "no more outcomes than records");
  ledger->ForEach([&](const ledger::Shard& shard) {
    Require(ledger->Find(shard.id) == &shard, "a shard is found");
    Require((ledger->ExtentOf(shard.id) != nullptr) == ledger->file_shape().has_value(),
            "a shard of a file has an extent");
  });
  ledger->Touch(0);
  const auto again = ledger::Ledger::FromChunks({ledger->Encode(0, ledger->highest_epoch()).data});
  Require(again.ok() && again->totals() == totals, "what a leader writes its successor reads");
}

void CheckPage(const std::string& sealed) {
  auto log = ledger::FailureLog::FromPages({sealed});
  if (!log.ok()) return Saw(log.error().message);
  Saw("a page");
  const auto standing = log->Standing();
  if (standing.empty()) return;
  // What stands can be written by itself.
  ledger::FailureLog copy;
  for (const ledger::FailedRecord& record : standing) copy.Append(record);
  const auto again = ledger::FailureLog::FromPages({copy.EncodePage(0, Epoch{1}).data});
  Require(again.ok(), again.ok() ? "" : "what is written is read: " + again.error().message);
  Require(again->Standing().size() == standing.size(), "as much stands");
}

}  // namespace
}  // namespace backfill::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace backfill;
  const std::string bytes(fuzz::View(data, size));
  if (size > ledger::kMaxEncodedBytes / 2) return 0;
  const std::string sealed = ledger::Seal(bytes);
  fuzz::CheckChunk(sealed);
  fuzz::CheckLedger(sealed);
  fuzz::CheckPage(sealed);
  static_cast<void>(ledger::DecodeChunk(bytes));
  static_cast<void>(ledger::FailureLog::FromPages({bytes}));
  static_cast<void>(ledger::Inflate(bytes));
  return 0;
}
