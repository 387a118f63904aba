#include "sim_leader.h"

#include <algorithm>

namespace backfill::lease::sim {

std::vector<std::string> Store::Chunks() const {
  std::vector<std::string> data;
  for (const Object& o : chunks) data.push_back(o.data);
  return data;
}

std::vector<std::string> Store::Pages() const {
  std::vector<std::string> data;
  for (const Object& o : pages) data.push_back(o.data);
  return data;
}

Leader::Leader(const LeaseOptions& options, const Store& store, Epoch epoch,
               Predecessors predecessors, const std::map<ShardId, std::uint64_t>& sent_at_most,
               Time now, Time until)
    : valid_until(until),
      ledger_(ledger::Ledger::FromChunks(store.Chunks()).value()),
      failures_(ledger::FailureLog::FromPages(store.Pages()).value()),
      epoch_(epoch) {
  for (const Store::Object& o : store.chunks) chunk_versions_.push_back(o.version);
  for (std::size_t i = 0; i < store.pages.size(); ++i) {
    page_versions_[static_cast<int>(i)] = store.pages[i].version;
  }
  // A predecessor may have begun an attempt and not written its cut.
  ledger_.ForEach([this](const ledger::Shard& s) {
    if (s.state == ledger::ShardState::kDone || s.attempt.value < 2) return;
    failures_.Supersede(s.id, s.attempt, s.cursor, s.done_above);
  });
  book_ = std::make_unique<LeaseBook>(options, ledger_, epoch, now, predecessors, sent_at_most);
}

void Leader::OnMessage(SessionId session, const WorkerMessage& message, Out out, Time now) {
  answered_[session] = message.sequence;
  if (const auto* hello = std::get_if<Hello>(&message.body)) {
    const Effects effects =
        book_->OnHello(session, hello->worker, hello->instance, hello->held, now);
    const std::vector<LeaseName> kept = book_->Kept(session);
    taken_up_ += static_cast<int>(kept.size());
    Send(session, {.answers = 0, .body = Welcome{epoch_, kept}}, out, now);
    return Perform(effects, out, now);
  }
  if (const auto* progress = std::get_if<Progress>(&message.body)) {
    return Perform(
        book_->OnProgress(session, message.sequence, progress->reports, progress->wanted, now), out,
        now);
  }
  if (const auto* done = std::get_if<ShardDone>(&message.body)) {
    return Perform(book_->OnShardDone(session, message.sequence, done->report, now), out, now);
  }
  if (const auto* draining = std::get_if<Draining>(&message.body)) {
    return Perform(book_->OnDraining(session, message.sequence, draining->reports, now), out, now);
  }
  const auto& failures = std::get<Failures>(message.body);
  const std::vector<LeaseName> held = book_->Kept(session);
  if (std::ranges::find(held, failures.lease) != held.end()) {
    for (const Position p : failures.positions) {
      failures_.Append({.shard = failures.lease.shard,
                        .attempt = failures.lease.attempt,
                        .position = p,
                        .key = std::to_string(p),
                        .attempts = 1,
                        .message = "no"});
    }
  }
  Perform(book_->OnOther(session, message.sequence, now), out, now);
}

void Leader::Tick(Out out, Time now) { Perform(book_->Tick(now), out, now); }

void Leader::Send(SessionId session, LeaderMessage message, Out out, Time now) {
  const auto stream = out.streams.find(session);
  if (stream == out.streams.end() || !stream->second.open_at_leader) return;
  if (message.answers == 0) message.answers = answered_[session];
  const Duration delay = out.delay * (out.random() % 100) / 100;
  stream->second.down.Send(std::move(message), now + delay);
}

void Leader::Perform(const Effects& effects, Out out, Time now) {
  last_effects_ = effects;
  for (const Effect& effect : effects) {
    if (const auto* e = std::get_if<SendLease>(&effect)) {
      Send(e->session, {.answers = 0, .body = Grant{e->shard}}, out, now);
    } else if (const auto* a = std::get_if<SendAck>(&effect)) {
      Send(a->session, {.answers = a->answers, .body = Ack{a->held, a->done}}, out, now);
    } else if (const auto* r = std::get_if<SendRevoke>(&effect)) {
      Send(r->session, {.answers = 0, .body = Revoke{r->lease}}, out, now);
    } else if (const auto* s = std::get_if<SendShrink>(&effect)) {
      Send(s->session, {.answers = 0, .body = Shrink{s->lease, s->end}}, out, now);
    } else if (const auto* n = std::get_if<SendNoMoreWork>(&effect)) {
      Send(n->session, {.answers = 0, .body = NoMoreWork{}}, out, now);
    } else if (const auto* c = std::get_if<CloseSession>(&effect)) {
      out.streams.at(c->session).open_at_leader = false;
    } else if (const auto* x = std::get_if<Supersede>(&effect)) {
      cuts_.push_back({ledger_.SequenceOf(ledger::Ledger::ChunkOf(x->shard)) + 1, *x});
    }
  }
}

void Leader::StartWrite(std::mt19937& random, bool everything, Time arrives) {
  if (write_) return;
  if (chunks_to_write_.empty()) {
    for (int c = 0; c < ledger_.chunks(); ++c) {
      const Urgency urgency = book_->UrgencyOf(c);
      const bool due = urgency == Urgency::kWaited || everything || random() % 8 == 0;
      if (urgency != Urgency::kClean && due) chunks_to_write_.push_back(c);
    }
    if (chunks_to_write_.empty() && !everything && written_.empty()) return;
  }
  const std::vector<int> pages = failures_.DirtyPages();
  if (!pages.empty()) {
    ledger::ChunkImage image = failures_.EncodePage(pages.front(), epoch_);
    write_ = {
        true,   image.chunk, image.sequence, page_versions_[image.chunk], std::move(image.data),
        arrives};
  } else if (!chunks_to_write_.empty()) {
    const int chunk = chunks_to_write_.front();
    chunks_to_write_.pop_front();
    ledger::ChunkImage image = ledger_.Encode(chunk, epoch_);
    write_ = {false,
              chunk,
              image.sequence,
              chunk_versions_[static_cast<std::size_t>(chunk)],
              std::move(image.data),
              arrives};
  }
}

void Leader::Arrive(Store& store, Time /*now*/) {
  auto& objects = write_->page ? store.pages : store.chunks;
  const auto index = static_cast<std::size_t>(write_->index);
  if (index == objects.size()) objects.emplace_back();
  Store::Object& object = objects.at(index);
  arrived_ = object.version == write_->expected_version;
  if (!*arrived_) return;
  ++object.version;
  ++store.writes;
  object.data = write_->data;
}

void Leader::Confirm(Out out, Time now) {
  const Write write = *std::exchange(write_, std::nullopt);
  const bool taken = *std::exchange(arrived_, std::nullopt);
  if (!taken) {
    dead = true;  // another leader has written: this one stops
  } else if (write.page) {
    page_versions_[write.index] = write.expected_version + 1;
    OnPageWritten(write.index);
  } else {
    chunk_versions_[static_cast<std::size_t>(write.index)] = write.expected_version + 1;
    OnChunkWritten(write.index, write.sequence);
  }
  TellTheBook(out, now);
}

void Leader::OnChunkWritten(int chunk, std::uint64_t sequence) {
  const std::size_t waiting = cuts_.size();
  std::erase_if(cuts_, [&](const WaitingCut& w) {
    if (ledger::Ledger::ChunkOf(w.cut.shard) != chunk || w.sequence > sequence) return false;
    failures_.Supersede(w.cut.shard, w.cut.next_attempt, w.cut.from, w.cut.done_above);
    return true;
  });
  std::optional<int> page;
  if (cuts_.size() < waiting) page = failures_.DirtyPages().back();
  written_.push_back({chunk, sequence, page});
}

void Leader::OnPageWritten(int page) {
  for (WrittenChunk& w : written_) {
    if (w.page == page) w.page.reset();
  }
}

void Leader::TellTheBook(Out out, Time now) {
  while (!dead && !written_.empty() && !written_.front().page) {
    const WrittenChunk w = written_.front();
    written_.pop_front();
    Perform(book_->OnWritten(w.chunk, w.sequence), out, now);
  }
}

bool Leader::Clean() const {
  if (write_ || !written_.empty() || !failures_.DirtyPages().empty()) return false;
  for (int c = 0; c < ledger_.chunks(); ++c) {
    if (ledger_.IsDirty(c)) return false;
  }
  return true;
}

}  // namespace backfill::lease::sim
