#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "sim_protocol.h"

namespace backfill::lease::sim {

// The store: objects with a version that every write has to name.
struct Store {
  struct Object {
    std::uint64_t version = 0;  // 0: does not exist
    std::string data;
  };
  std::vector<Object> chunks;
  std::vector<Object> pages;
  std::uint64_t writes = 1;

  [[nodiscard]] std::vector<std::string> Chunks() const;
  [[nodiscard]] std::vector<std::string> Pages() const;
};

// A write on its way to the store.
struct Write {
  bool page = false;
  int index = 0;
  std::uint64_t sequence = 0;
  std::uint64_t expected_version = 0;
  std::string data;
  Time arrives{};
};

// One operator process that leads, or believes that it does.
class Leader {
 public:
  // Reads the store. Its leadership is valid until `valid_until`, unless renewed.
  Leader(const LeaseOptions& options, const Store& store, Epoch epoch, Predecessors predecessors,
         const std::map<ShardId, std::uint64_t>& sent_at_most, Time now, Time valid_until);

  Time valid_until{};
  Time asleep_until{};
  bool dead = false;
  bool ignores_its_end = false;  // a fault: goes on answering when its leadership is over

  [[nodiscard]] bool Leads(Time now) const {
    return !dead && (ignores_its_end || now < valid_until);
  }
  [[nodiscard]] const ledger::Ledger& ledger() const { return ledger_; }
  [[nodiscard]] const ledger::FailureLog& failures() const { return failures_; }
  [[nodiscard]] bool writing() const { return write_.has_value(); }
  [[nodiscard]] const Effects& last_effects() const { return last_effects_; }
  [[nodiscard]] int taken_up() const { return taken_up_; }

  // `streams`: by session. Messages that it sends arrive after a delay of up to `delay`.
  struct Out {
    std::map<SessionId, Stream>& streams;
    std::mt19937& random;
    Duration delay{};
  };
  void OnMessage(SessionId session, const WorkerMessage& message, Out out, Time now);
  void OnDisconnect(SessionId session) { book_->OnDisconnect(session); }
  void OnWorkerGone(const std::string& worker, const std::string& instance,
                    const std::optional<SentBounds>& sent, Time now) {
    book_->OnWorkerGone(worker, instance, now, sent);
  }
  void Tick(Out out, Time now);

  // Hands the next write to the store; one at a time, failure pages before the chunk that counts
  // them.
  void StartWrite(std::mt19937& random, bool everything, Time arrives);
  // Applies it. The store knows the result at once, this leader when Confirm() is called.
  void Arrive(Store& store, Time now);
  void Confirm(Out out, Time now);
  [[nodiscard]] bool arrived() const { return arrived_.has_value(); }
  [[nodiscard]] bool refused() const { return arrived_ && !*arrived_; }
  [[nodiscard]] Time write_arrives() const { return write_->arrives; }
  [[nodiscard]] bool Clean() const;

 private:
  void Perform(const Effects& effects, Out out, Time now);
  // As the coordinator does it: the chunk that begins an attempt, then the cut of what it voids,
  // and only then is the chunk's write made known.
  void OnChunkWritten(int chunk, std::uint64_t sequence);
  void OnPageWritten(int page);
  void TellTheBook(Out out, Time now);
  void Send(SessionId session, LeaderMessage message, Out out, Time now);

  std::unique_ptr<LeaseBook> book_;
  ledger::Ledger ledger_;
  ledger::FailureLog failures_;
  const Epoch epoch_;
  std::vector<std::uint64_t> chunk_versions_;
  std::map<int, std::uint64_t> page_versions_;
  std::map<SessionId, std::uint64_t> answered_;
  struct WaitingCut {
    std::uint64_t sequence = 0;  // of the first image that has the next attempt
    Supersede cut;
  };
  std::vector<WaitingCut> cuts_;
  struct WrittenChunk {
    int chunk = 0;
    std::uint64_t sequence = 0;
    std::optional<int> page;  // has its cuts, and must be written first
  };
  std::deque<WrittenChunk> written_;
  std::deque<int> chunks_to_write_;  // of the batch whose pages go first
  std::optional<Write> write_;
  std::optional<bool> arrived_;  // whether the store took it
  Effects last_effects_;
  int taken_up_ = 0;  // leases that a Hello named
};

}  // namespace backfill::lease::sim
