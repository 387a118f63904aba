#include "operator/ledger/failure_log.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <tuple>

#include "backfill/v1/ledger.pb.h"
#include "operator/ledger/frame.h"

namespace backfill::ledger {
namespace {

constexpr std::uint32_t kCodec = 1;
constexpr std::size_t kMaxText = 256;

// The length of the UTF-8 sequence at the front of `text`; 0: there is none.
std::size_t SequenceLength(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const auto continues = [&](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
  const unsigned a = byte(0);
  if (a < 0x80) return 1;
  if (a >= 0xC2 && a < 0xE0 && continues(1)) return 2;
  if (a >= 0xE0 && a < 0xF0 && continues(1) && continues(2)) {
    const bool overlong = a == 0xE0 && byte(1) < 0xA0;
    const bool surrogate = a == 0xED && byte(1) >= 0xA0;
    return overlong || surrogate ? 0 : 3;
  }
  if (a >= 0xF0 && a < 0xF5 && continues(1) && continues(2) && continues(3)) {
    const bool overlong = a == 0xF0 && byte(1) < 0x90;
    const bool too_high = a == 0xF4 && byte(1) >= 0x90;
    return overlong || too_high ? 0 : 4;
  }
  return 0;
}

// A protobuf string that is not UTF-8 would make the whole page unreadable.
std::string CutToUtf8(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t n = SequenceLength(text);
    if (out.size() + std::max<std::size_t>(n, 1) > kMaxText) break;
    out += n == 0 ? std::string_view("?") : text.substr(0, n);
    text.remove_prefix(std::max<std::size_t>(n, 1));
  }
  return out;
}

v1::FailureClass ToProto(FailureClass c) {
  switch (c) {
    case FailureClass::kTransient:
      return v1::FAILURE_CLASS_TRANSIENT;
    case FailureClass::kPermanent:
      return v1::FAILURE_CLASS_PERMANENT;
    case FailureClass::kTimeout:
      return v1::FAILURE_CLASS_TIMEOUT;
    case FailureClass::kConflict:
      return v1::FAILURE_CLASS_CONFLICT;
  }
  std::abort();
}

Error BadPage(std::string what) { return Error{ErrorCode::kInvalid, std::move(what)}; }

}  // namespace

std::string_view ToString(FailureClass c) {
  switch (c) {
    case FailureClass::kTransient:
      return "transient";
    case FailureClass::kPermanent:
      return "permanent";
    case FailureClass::kTimeout:
      return "timeout";
    case FailureClass::kConflict:
      return "conflict";
  }
  std::abort();
}

FailureClass ToFailureClass(int wire_value) {
  switch (wire_value) {
    case v1::FAILURE_CLASS_TRANSIENT:
      return FailureClass::kTransient;
    case v1::FAILURE_CLASS_TIMEOUT:
      return FailureClass::kTimeout;
    case v1::FAILURE_CLASS_CONFLICT:
      return FailureClass::kConflict;
    default:
      return FailureClass::kPermanent;
  }
}

Result<FailureLog> FailureLog::FromPages(const std::vector<std::string>& pages) {
  FailureLog log;
  for (std::size_t i = 0; i < pages.size(); ++i) {
    Result<Page> page = DecodePage(pages[i], i);
    if (!page.ok()) return page.error().Annotate("failure page " + std::to_string(i));
    Page& loaded = log.pages_.emplace_back();
    loaded.sequence = page->sequence;
    for (Entry& e : page->entries) {
      if (!e.superseded && log.IsKnown(e.record)) continue;
      log.Index(e);
      loaded.entries.push_back(std::move(e));
    }
  }
  return log;
}

Result<FailureLog::Page> FailureLog::DecodePage(std::string_view data, std::size_t expected_page) {
  const std::string_view message = TRY(Unseal(data));
  v1::FailurePage m;
  if (!m.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
    return BadPage("cannot be parsed");
  }
  if (m.codec() != kCodec) {
    return BadPage("codec " + std::to_string(m.codec()) + " is not known to this version");
  }
  if (m.page() != expected_page) return BadPage("holds another page");
  if (std::cmp_greater(m.entries_size(), kEntriesPerPage)) return BadPage("too many entries");
  if (m.sequence() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    return BadPage("a sequence number out of bounds");
  }
  Page page;
  page.sequence = m.sequence();
  for (const v1::FailureEntry& e : m.entries()) {
    if (e.has_failure() == e.has_superseded()) return BadPage("an entry of unknown kind");
    Entry entry;
    entry.record.shard = {e.shard()};
    entry.record.attempt = {e.attempt()};
    if (e.has_superseded()) {
      if (e.superseded().done_above().size() > kMaxBitmapBytes)
        return BadPage("a bitmap that is too long");
      entry.superseded = true;
      entry.record.position = e.superseded().from();
      entry.done_above = e.superseded().done_above();
    } else {
      entry.record.position = e.failure().position();
      entry.record.key = CutToUtf8(e.failure().key());
      entry.record.failure_class = ToFailureClass(e.failure().class_());
      entry.record.attempts = e.failure().attempts();
      entry.record.message = CutToUtf8(e.failure().message());
    }
    page.entries.push_back(std::move(entry));
  }
  return page;
}

void FailureLog::Append(const FailedRecord& record) {
  const auto given_away = next_.find(record.shard);
  if (given_away != next_.end() && record.attempt < given_away->second) return;
  if (IsKnown(record)) return;
  Entry entry{.superseded = false, .record = record, .done_above = {}};
  entry.record.key = CutToUtf8(record.key);
  entry.record.message = CutToUtf8(record.message);
  Add(std::move(entry));
}

void FailureLog::Supersede(ShardId shard, Attempt next_attempt, Position from,
                           const std::string& done_above) {
  next_[shard] = next_attempt;
  // Also when nothing is known of earlier attempts: a deposed leader's last page may still arrive.
  // It then conflicts with the write of this entry, which goes after the chunk that makes the next
  // attempt and before that attempt is granted.
  Entry entry{.superseded = true, .record = {}, .done_above = done_above};
  entry.record.shard = shard;
  entry.record.attempt = next_attempt;
  entry.record.position = from;
  Add(std::move(entry));
}

void FailureLog::Add(Entry entry) {
  Index(entry);
  if (pages_.empty() || pages_.back().entries.size() == kEntriesPerPage) pages_.emplace_back();
  pages_.back().entries.push_back(std::move(entry));
  dirty_.insert(static_cast<int>(pages_.size()) - 1);
}

bool FailureLog::IsKnown(const FailedRecord& record) const {
  const auto known = seen_.find({record.shard, record.attempt});
  return known != seen_.end() && known->second.contains(record.position);
}

std::size_t FailureLog::Uncounted(const Shard& shard) const {
  const auto known = seen_.find({shard.id, shard.attempt});
  if (known == seen_.end()) return 0;
  std::size_t n = 0;
  for (auto p = known->second.lower_bound(shard.cursor); p != known->second.end(); ++p) {
    n += IsCovered(*p, shard.cursor, shard.done_above) ? 0 : 1;
  }
  return n;
}

void FailureLog::Index(const Entry& entry) {
  if (entry.superseded) return;
  seen_[{entry.record.shard, entry.record.attempt}].insert(entry.record.position);
}

std::vector<FailedRecord> FailureLog::Standing() const {
  std::map<ShardId, std::vector<const Entry*>> cuts;
  std::vector<const FailedRecord*> candidates;
  for (const Page& p : pages_) {
    for (const Entry& e : p.entries) {
      if (e.superseded) {
        cuts[e.record.shard].push_back(&e);
      } else {
        candidates.push_back(&e.record);
      }
    }
  }
  // Every later attempt's cut counts, not only the nearest: a leader may have died between its cut
  // and the grant, and its successor cuts again for the same attempt from what was durable.
  const auto stands = [&cuts](const FailedRecord& r) {
    const auto own = cuts.find(r.shard);
    return own == cuts.end() || std::ranges::all_of(own->second, [&r](const Entry* cut) {
             return cut->record.attempt <= r.attempt ||
                    IsCovered(r.position, cut->record.position, cut->done_above);
           });
  };
  std::vector<FailedRecord> standing;
  for (const FailedRecord* r : candidates) {
    if (stands(*r)) standing.push_back(*r);
  }
  std::ranges::sort(standing, {}, [](const FailedRecord& r) {
    return std::tuple{r.shard, r.position, r.attempt};
  });
  return standing;
}

std::vector<int> FailureLog::DirtyPages() const { return {dirty_.begin(), dirty_.end()}; }

ChunkImage FailureLog::EncodePage(int page, Epoch epoch) {
  Page& p = pages_.at(static_cast<std::size_t>(page));
  dirty_.erase(page);
  v1::FailurePage m;
  m.set_codec(kCodec);
  m.set_epoch(epoch.value);
  m.set_sequence(++p.sequence);
  m.set_page(static_cast<std::uint32_t>(page));
  for (const Entry& e : p.entries) {
    v1::FailureEntry* out = m.add_entries();
    out->set_shard(e.record.shard.value);
    out->set_attempt(e.record.attempt.value);
    if (e.superseded) {
      out->mutable_superseded()->set_from(e.record.position);
      out->mutable_superseded()->set_done_above(e.done_above);
    } else {
      v1::RecordFailure* f = out->mutable_failure();
      f->set_position(e.record.position);
      f->set_key(e.record.key);
      f->set_class_(ToProto(e.record.failure_class));
      f->set_attempts(e.record.attempts);
      f->set_message(e.record.message);
    }
  }
  std::string bytes;
  if (!m.SerializeToString(&bytes)) std::abort();  // only beyond 2 GiB
  return {.chunk = page, .sequence = p.sequence, .data = Seal(std::move(bytes))};
}

}  // namespace backfill::ledger
