#include "operator/coordinator/ledger_store.h"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <utility>

#include "base/digest.h"
#include "operator/coordinator/call_all.h"

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

LedgerStore::LedgerStore(kube::ObjectStore& store, const StageKey& key, int at_once)
    : store_(store), key_(key), at_once_(at_once), writer_(RandomHex(8)) {}

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
  // From the last down to chunk 0, which comes when all others are there.
  const auto create = [&](int i, Foreign foreign, std::string& version) {
    return WriteObject(ChunkName(key_, i), chunks[static_cast<std::size_t>(i)], epoch,
                       kube::Durability::kPower, foreign, version);
  };
  std::vector<std::string*> versions;
  for (int i = 0; i < chunks_; ++i) versions.push_back(&versions_[ChunkName(key_, i)]);
  std::vector<std::optional<Status>> made(static_cast<std::size_t>(chunks_ - 1));
  CallAll(chunks_ - 1, at_once_, [&](int i) {
    const int chunk = chunks_ - 1 - i;
    std::string& version = *versions[static_cast<std::size_t>(chunk)];
    const Status& status =
        made[static_cast<std::size_t>(i)].emplace(create(chunk, Foreign::kReplace, version));
    return status.ok();
  });
  for (const auto& status : made) {
    if (status && !status->ok()) return *status;
  }
  return create(0, Foreign::kGiveUp, *versions[0]);
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

Result<LedgerStore::Loaded> LedgerStore::Load(const std::string& name) {
  kube::Object object = TRY(Read(name));
  LedgerContent content = TRY(DecodeContent(object.content).Annotate(name));
  return Loaded{std::move(content), std::move(object.resource_version)};
}

std::vector<Result<LedgerStore::Loaded>> LedgerStore::LoadMany(std::string (*name)(const StageKey&,
                                                                                   int),
                                                               int first, int n) {
  std::vector<std::optional<Result<Loaded>>> slots(static_cast<std::size_t>(n));
  CallAll(n, at_once_, [&](int i) {
    return slots[static_cast<std::size_t>(i)].emplace(Load(name(key_, first + i))).ok();
  });
  std::vector<Result<Loaded>> loaded;
  for (auto& slot : slots) {
    if (!slot) break;  // one before it has failed
    loaded.push_back(std::move(*slot));
    if (!loaded.back().ok()) break;
  }
  return loaded;
}

Result<std::vector<std::string>> LedgerStore::LoadChunks() {
  std::vector<Result<Loaded>> all = LoadMany(ChunkName, 0, 1);
  if (!all.front().ok()) return all.front().error();
  const int count = all.front()->content.chunks;
  if (count > 1 && count <= kMaxChunks) {
    for (auto& loaded : LoadMany(ChunkName, 1, count - 1)) all.push_back(std::move(loaded));
  }
  std::vector<std::string> chunks;
  for (auto& loaded : all) {
    const std::string name = ChunkName(key_, static_cast<int>(chunks.size()));
    if (!loaded.ok() && loaded.error().code == ErrorCode::kNotFound) return Missing(name);
    if (!loaded.ok()) return loaded.error();
    const int says = loaded->content.chunks;
    if (count < 1 || count > kMaxChunks || says != count) {
      return Error{ErrorCode::kInternal, "ledger damaged: object " + name + " tells of " +
                                             std::to_string(says) + " chunks"};
    }
    versions_[name] = std::move(loaded->version);
    chunks.push_back(std::move(loaded->content.data));
  }
  chunks_ = count;
  return chunks;
}

Result<std::vector<std::string>> LedgerStore::LoadPages() {
  std::vector<std::string> pages;
  // How many there are shows where one is missing. Most ledgers have none.
  for (int window = 1; std::cmp_less(pages.size(), kMaxPages); window = at_once_) {
    for (auto& loaded : LoadMany(PageName, static_cast<int>(pages.size()), window)) {
      if (!loaded.ok() && loaded.error().code == ErrorCode::kNotFound) return pages;
      if (!loaded.ok()) return loaded.error();
      versions_[PageName(key_, static_cast<int>(pages.size()))] = std::move(loaded->version);
      pages.push_back(std::move(loaded->content.data));
    }
  }
  return pages;
}

WriteOutcome LedgerStore::Write(const std::vector<LedgerWrite>& batch, Epoch epoch) {
  WriteOutcome outcome;
  const auto is_chunk = [](const LedgerWrite& w) { return w.kind == LedgerWrite::Kind::kChunk; };
  while (outcome.written < batch.size() && outcome.status.ok()) {
    const auto rest = std::span(batch).subspan(outcome.written);
    const auto next_page = std::ranges::find_if_not(rest, is_chunk);
    const auto chunks = static_cast<std::size_t>(next_page - rest.begin());
    const WriteOutcome some = WriteTogether(rest.first(std::max<std::size_t>(1, chunks)), epoch);
    outcome.written += some.written;
    outcome.status = some.status;
  }
  return outcome;
}

WriteOutcome LedgerStore::WriteTogether(std::span<const LedgerWrite> writes, Epoch epoch) {
  struct Item {
    std::string name;
    std::string* version;
    std::optional<Status> status = {};
  };
  std::vector<Item> items;
  for (const LedgerWrite& write : writes) {
    const bool page = write.kind == LedgerWrite::Kind::kPage;
    std::string name =
        page ? PageName(key_, write.image.chunk) : ChunkName(key_, write.image.chunk);
    std::string* const version = &versions_[name];
    items.push_back({.name = std::move(name), .version = version});
  }
  CallAll(static_cast<int>(writes.size()), at_once_, [&](int i) {
    const LedgerWrite& write = writes[static_cast<std::size_t>(i)];
    Item& item = items[static_cast<std::size_t>(i)];
    const bool page = write.kind == LedgerWrite::Kind::kPage;
    return item.status
        .emplace(WriteObject(item.name, write.image, epoch, write.durability,
                             page ? Foreign::kReplaceOlder : Foreign::kGiveUp, *item.version))
        .ok();
  });
  WriteOutcome outcome;
  for (const Item& item : items) {
    if (!item.status) break;
    outcome.status = *item.status;
    if (!outcome.status.ok()) break;
    ++outcome.written;
  }
  return outcome;
}

Status LedgerStore::WriteObject(const std::string& name, const ledger::ChunkImage& image,
                                Epoch epoch, kube::Durability durability, Foreign foreign,
                                std::string& version) {
  const bool page = foreign == Foreign::kReplaceOlder;
  kube::Object object = MakeObject(name);
  object.content = EncodeContent({.epoch = epoch,
                                  .sequence = image.sequence,
                                  .chunks = page ? 0 : chunks_,
                                  .writer = writer_,
                                  .data = image.data});
  for (int i = 0; i < kMaxTries; ++i) {
    object.resource_version = version;
    auto written = object.resource_version.empty() ? store_.Create(object, durability)
                                                   : store_.Update(object, durability);
    if (written.ok()) {
      version = written->resource_version;
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
      version = current.resource_version;
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
    version = current.resource_version;
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
