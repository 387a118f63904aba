#include "operator/coordinator/ledger_store.h"

#include <cstdio>
#include <utility>

#include "base/digest.h"
#include "operator/coordinator/ledger_object.h"

namespace backfill::coordinator {
namespace {

using reconcile::Stage;
using reconcile::StageKey;

constexpr int kMaxChunks =
    static_cast<int>((plan::kMaxShards + ledger::kShardsPerChunk - 1) / ledger::kShardsPerChunk);
constexpr int kMaxPages = 1'000'000;  // six digits
// Our own late write, then a predecessor's: more rounds mean that somebody keeps writing.
constexpr int kMaxTries = 4;

std::string ObjectName(const StageKey& key, const char* format, int number) {
  char suffix[24];
  std::snprintf(suffix, sizeof suffix, format, number);
  return key.name + "-" + key.uid.substr(0, 8) + suffix;
}

Error Missing(const std::string& name) {
  return {ErrorCode::kInternal, "ledger damaged: object " + name + " is missing"};
}

}  // namespace

std::string ChunkName(const StageKey& key, int chunk) {
  return ObjectName(key, key.stage == Stage::kRun ? "-%04d" : "-d%04d", chunk);
}

std::string PageName(const StageKey& key, int page) {
  return ObjectName(key, key.stage == Stage::kRun ? "-f%06d" : "-e%06d", page);
}

LedgerStore::LedgerStore(kube::ObjectStore& store, const StageKey& key)
    : store_(store), key_(key), writer_(RandomHex(8)) {}

kube::Object LedgerStore::MakeObject(const std::string& name) const {
  kube::Object object;
  object.ref = {std::string(kube::kLedgerKind), key_.ns, name};
  object.owner_uid = key_.uid;
  object.labels = {{"backfill.dev/backfill", key_.name}};
  return object;
}

Result<kube::Object> LedgerStore::Read(const std::string& name) {
  auto object = store_.Get({std::string(kube::kLedgerKind), key_.ns, name});
  if (!object.ok()) return object.error().Annotate("reading ledger object " + name);
  // A Backfill of the same name with the same first digits of its uid: never take its ledger for
  // ours.
  if (object->owner_uid != key_.uid) {
    return Error{ErrorCode::kInternal, "ledger object " + name + " belongs to another Backfill"};
  }
  return object;
}

Status LedgerStore::Create(const std::vector<ledger::ChunkImage>& chunks, Epoch epoch) {
  if (chunks.empty() || chunks.size() > static_cast<std::size_t>(kMaxChunks)) {
    return Error{ErrorCode::kInvalid,
                 "a ledger has 1 to " + std::to_string(kMaxChunks) + " chunks"};
  }
  chunks_ = static_cast<int>(chunks.size());
  for (std::size_t i = chunks.size(); i-- > 0;) {
    TRY(WriteObject(ChunkName(key_, static_cast<int>(i)), chunks[i], epoch,
                    kube::Durability::kPower, i == 0 ? Foreign::kGiveUp : Foreign::kReplace));
  }
  return Ok{};
}

Status LedgerStore::Remove() {
  for (int i = 0; i < chunks_; ++i) {
    const std::string name = ChunkName(key_, i);
    auto deleted = store_.Delete({std::string(kube::kLedgerKind), key_.ns, name}, "");
    if (!deleted.ok() && deleted.error().code != ErrorCode::kNotFound) {
      return deleted.error().Annotate("deleting ledger object " + name);
    }
    versions_.erase(name);
  }
  return Ok{};
}

Result<std::vector<std::string>> LedgerStore::LoadChunks() {
  std::vector<std::string> chunks;
  int count = 1;
  for (int i = 0; i < count; ++i) {
    const std::string name = ChunkName(key_, i);
    auto object = Read(name);
    if (!object.ok() && object.error().code == ErrorCode::kNotFound) {
      if (i == 0) return object.error();
      return Missing(name);
    }
    if (!object.ok()) return object.error();
    LedgerContent content = TRY(DecodeContent(object->content).Annotate(name));
    if (i == 0) count = content.chunks;
    if (count < 1 || count > kMaxChunks || content.chunks != count) {
      return Error{ErrorCode::kInternal, "ledger damaged: object " + name + " tells of " +
                                             std::to_string(content.chunks) + " chunks"};
    }
    versions_[name] = object->resource_version;
    chunks.push_back(std::move(content.data));
  }
  chunks_ = count;
  return chunks;
}

Result<std::vector<std::string>> LedgerStore::LoadPages() {
  std::vector<std::string> pages;
  for (int i = 0; i < kMaxPages; ++i) {
    const std::string name = PageName(key_, i);
    auto object = Read(name);
    if (!object.ok() && object.error().code == ErrorCode::kNotFound) break;
    if (!object.ok()) return object.error();
    pages.push_back(TRY(DecodeContent(object->content).Annotate(name)).data);
    versions_[name] = object->resource_version;
  }
  return pages;
}

WriteOutcome LedgerStore::Write(const std::vector<LedgerWrite>& batch, Epoch epoch) {
  WriteOutcome outcome;
  for (const LedgerWrite& write : batch) {
    const bool page = write.kind == LedgerWrite::Kind::kPage;
    const int number = write.image.chunk;
    outcome.status =
        WriteObject(page ? PageName(key_, number) : ChunkName(key_, number), write.image, epoch,
                    write.durability, page ? Foreign::kReplaceOlder : Foreign::kGiveUp);
    if (!outcome.status.ok()) return outcome;
    ++outcome.written;
  }
  return outcome;
}

Status LedgerStore::WriteObject(const std::string& name, const ledger::ChunkImage& image,
                                Epoch epoch, kube::Durability durability, Foreign foreign) {
  const bool page = foreign == Foreign::kReplaceOlder;
  kube::Object object = MakeObject(name);
  object.content = EncodeContent({.epoch = epoch,
                                  .sequence = image.sequence,
                                  .chunks = page ? 0 : chunks_,
                                  .writer = writer_,
                                  .data = image.data});
  for (int i = 0; i < kMaxTries; ++i) {
    object.resource_version = versions_[name];
    auto written = object.resource_version.empty() ? store_.Create(object, durability)
                                                   : store_.Update(object, durability);
    if (written.ok()) {
      versions_[name] = written->resource_version;
      return Ok{};
    }
    if (written.error().code == ErrorCode::kNotFound) {
      return Error{ErrorCode::kConflict, "ledger object " + name + " is gone"};
    }
    if (written.error().code != ErrorCode::kConflict) {
      return written.error().Annotate("writing ledger object " + name);
    }
    // Either an earlier write of ours had arrived although its answer was lost, or there is another
    // leader.
    const kube::Object current = TRY(Read(name));
    const LedgerContent found = TRY(DecodeContent(current.content).Annotate(name));
    if (found.writer == writer_ && found.sequence == image.sequence) {
      versions_[name] = current.resource_version;
      return Ok{};
    }
    const bool ours = found.writer == writer_ && found.sequence < image.sequence;
    const bool older = foreign == Foreign::kReplaceOlder && found.epoch < epoch;
    if (!ours && !older && foreign != Foreign::kReplace) {
      const bool predecessor = found.epoch < epoch;
      return Error{predecessor ? ErrorCode::kExpired : ErrorCode::kConflict,
                   "ledger object " + name + " was written by another leader (epoch " +
                       std::to_string(found.epoch.value) + ", ours is " +
                       std::to_string(epoch.value) + ")"};
    }
    versions_[name] = current.resource_version;
  }
  return Error{ErrorCode::kConflict, "ledger object " + name + " keeps changing"};
}

Result<std::vector<ledger::FailedRecord>> ReadFailures(kube::ObjectStore& store,
                                                       const StageKey& key) {
  LedgerStore reader(store, key);
  const std::vector<std::string> pages = TRY(reader.LoadPages());
  auto log = ledger::FailureLog::FromPages(pages);
  if (!log.ok()) return Error{ErrorCode::kInternal, log.error().message};
  return log->Standing();
}

Result<std::vector<ledger::Shard>> ReadShards(kube::ObjectStore& store, const StageKey& key) {
  LedgerStore reader(store, key);
  const std::vector<std::string> chunks = TRY(reader.LoadChunks());
  auto ledger = ledger::Ledger::FromChunks(chunks);
  if (!ledger.ok()) return Error{ErrorCode::kInternal, ledger.error().message};
  std::vector<ledger::Shard> shards;
  ledger->ForEach([&shards](const ledger::Shard& shard) { shards.push_back(shard); });
  return shards;
}

}  // namespace backfill::coordinator
