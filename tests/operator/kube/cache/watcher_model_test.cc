#include <gtest/gtest.h>

#include <rapidcheck/gtest.h>
#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "operator/kube/cache/object_cache.h"
#include "operator/kube/cache/resource_version.h"
#include "operator/kube/cache/watcher.h"
#include "tests/operator/kube/cache/object_text.h"

// Watcher and cache against a model of the API server, through random histories of faults. F2, F4.
namespace backfill::kube {
namespace {

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : random_(seed) {}
  int Below(int n) { return static_cast<int>(random_() % static_cast<std::uint64_t>(n)); }
  bool Percent(int p) { return Below(100) < p; }
  double Chance() { return static_cast<double>(Below(1000)) / 1000; }

 private:
  std::mt19937_64 random_;
};

struct LogEntry {
  int version;
  Change change;
};

// One version counter, a log that can be compacted, snapshots of the past for stale lists.
class ModelServer {
 public:
  ModelServer(Dice& dice, bool opaque) : dice_(dice), opaque_(opaque) { Remember(); }

  [[nodiscard]] std::string Text(int version) const {
    if (version == 0) return "0";
    // Opaque: equal or not, and the order of the texts is not that of the versions.
    return opaque_ ? "v" + std::to_string(version % 7) + "." + std::to_string(version)
                   : std::to_string(version);
  }
  [[nodiscard]] int Number(const std::string& text) const {
    return std::atoi(opaque_ && text.size() > 3 ? text.c_str() + 3 : text.c_str());
  }

  void Mutate() {
    const std::string name(1, static_cast<char>('a' + dice_.Below(6)));
    ++version_;
    const auto it = objects_.find(name);
    if (it == objects_.end()) {
      const ApiObjectPtr object =
          Object(name, Text(version_), name + "/" + std::to_string(++uids_));
      objects_[name] = object;
      log_.push_back({version_, Added(object)});
    } else if (dice_.Percent(60)) {
      it->second = Object(name, Text(version_), it->second->meta.uid);
      log_.push_back({version_, Modified(it->second)});
    } else {
      log_.push_back({version_, Deleted(Object(name, Text(version_), it->second->meta.uid))});
      objects_.erase(it);
    }
    Remember();
  }
  void Compact() {
    const int keep = dice_.Below(5);
    while (static_cast<int>(log_.size()) > keep) {
      compacted_ = log_.front().version;
      log_.pop_front();
    }
    std::erase_if(past_, [&](const auto& p) { return p.first < compacted_; });
  }
  // From a backup: what came later has not happened, and others happen in its place.
  void Restore() {
    const auto to = std::next(past_.begin(), dice_.Below(static_cast<int>(past_.size())));
    version_ = to->first;
    objects_ = to->second;
    std::erase_if(log_, [&](const LogEntry& e) { return e.version > version_; });
    past_.erase(std::next(to), past_.end());
  }

  // A page of 2. Tokens are "<version>:<offset>" and live as long as their version.
  Result<ListPage, ApiError> List(const GetPage& page, bool stale) {
    int version = version_;
    std::size_t offset = 0;
    if (!page.token.empty()) {
      const std::size_t colon = page.token.find(':');
      version = std::atoi(page.token.c_str());
      offset = static_cast<std::size_t>(std::atoi(page.token.c_str() + colon + 1));
      if (!past_.contains(version)) return Gone();
    } else if (page.version == "0") {
      if (stale) version = RandomPast(0);
    } else if (!page.version.empty()) {
      const int least = Number(page.version);
      if (least > version_) return Gone();  // 504, too large
      if (stale) version = RandomPast(least);
    }
    ListPage out;
    out.resource_version = Text(version);
    const auto& objects = past_.at(version);
    const std::size_t limit = page.limit == 0 ? 1000 : 2;
    std::size_t at = 0;
    for (const auto& [name, object] : objects) {
      if (at >= offset && at < offset + limit) out.items.push_back(object);
      ++at;
    }
    if (offset + limit < objects.size())
      out.next = std::to_string(version) + ":" + std::to_string(offset + limit);
    return out;
  }

  static ApiError Gone() { return ErrorWith(ApiErrorKind::kGone); }
  static ApiError ErrorWith(ApiErrorKind kind) {
    ApiError error;
    error.kind = kind;
    return error;
  }

  [[nodiscard]] bool Knows(int version) const { return version >= compacted_; }
  [[nodiscard]] const LogEntry* After(int version) const {
    for (const LogEntry& entry : log_) {
      if (entry.version > version) return &entry;
    }
    return nullptr;
  }
  [[nodiscard]] int version() const { return version_; }
  [[nodiscard]] const std::map<std::string, ApiObjectPtr>& objects() const { return objects_; }

 private:
  void Remember() { past_[version_] = objects_; }
  int RandomPast(int least) {
    std::vector<int> known;
    for (const auto& [version, objects] : past_) {
      if (version >= least) known.push_back(version);
    }
    if (known.empty()) return version_;
    return known[static_cast<std::size_t>(dice_.Below(static_cast<int>(known.size())))];
  }

  Dice& dice_;
  const bool opaque_;
  int version_ = 10;
  int uids_ = 0;
  int compacted_ = 0;
  std::map<std::string, ApiObjectPtr> objects_;
  std::deque<LogEntry> log_;
  std::map<int, std::map<std::string, ApiObjectPtr>> past_;
};

// Holds what it is told against what may be told.
class Referee final : public CacheListener {
 public:
  explicit Referee(bool time_goes_back) : time_goes_back_(time_goes_back) {}

  void OnDelta(const Delta& delta) override {
    const std::string& name = delta.object->meta.name;
    const auto it = known_.find(name);
    switch (delta.type) {
      case DeltaType::kAdded:
        RC_ASSERT(delta.old == nullptr);
        RC_ASSERT(it == known_.end());
        // Once gone it does not come back: a name that does is another object.
        RC_ASSERT(time_goes_back_ || added_.insert(delta.object->meta.uid).second);
        known_[name] = delta.object;
        return;
      case DeltaType::kUpdated:
        RC_ASSERT(it != known_.end());
        RC_ASSERT(it->second == delta.old);
        RC_ASSERT(delta.old->meta.uid == delta.object->meta.uid);
        RC_ASSERT(time_goes_back_ ||
                  !IsOlder(delta.object->meta.resource_version, delta.old->meta.resource_version));
        it->second = delta.object;
        return;
      case DeltaType::kDeleted:
        RC_ASSERT(it != known_.end());
        RC_ASSERT(it->second == delta.old);
        RC_ASSERT(delta.old->meta.uid == delta.object->meta.uid);
        known_.erase(it);
        return;
    }
  }

  [[nodiscard]] const std::map<std::string, ApiObjectPtr>& known() const { return known_; }

 private:
  const bool time_goes_back_;
  std::map<std::string, ApiObjectPtr> known_;
  std::set<std::string> added_;
};

struct Faults {
  bool opaque = false;   // versions that are no numbers: then streams are at least in order
  bool restore = false;  // the server forgets
  bool out_of_order = true;
};

class History {
 public:
  History(std::uint64_t seed, Faults faults)
      : dice_(seed), faults_(faults), server_(dice_, faults.opaque), referee_(faults.restore) {
    cache_.AddListener(&referee_);
  }

  void Run(int steps) {
    Feed(Begin{});
    for (int i = 0; i < steps; ++i) {
      // A server that was restored has to be noticed before it is as far as it was: later nobody
      // can tell. Nor, in the middle of a list, that the rest of it is of another past.
      const bool unnoticed = IsOlder(server_.Text(server_.version()), watcher_.version());
      if (!unnoticed && dice_.Percent(30)) server_.Mutate();
      if (dice_.Percent(3)) server_.Compact();
      if (faults_.restore && streaming_ && dice_.Percent(2)) Restore();
      Turn(true);
    }
    // Now all is well: what is under way ends, and what was skipped is made up for.
    for (int ends = 0; ends < 3; ++ends) {
      for (int i = 0; i < 500 && !Quiet(); ++i) Turn(false);
      RC_ASSERT(Quiet());
      TellVersion();
      for (int i = 0; i < 500 && !Quiet(); ++i) Turn(false);
      now_ += 250s;
      streaming_ = false;
      Feed(StreamEnded{});
    }
    for (int i = 0; i < 500 && !Quiet(); ++i) Turn(false);
    Converged();
  }

  [[nodiscard]] const WatcherCounts& counts() const { return watcher_.counts(); }

 private:
  [[nodiscard]] bool Quiet() const {
    return streaming_ && server_.Knows(position_) && server_.After(position_) == nullptr &&
           held_ == nullptr;
  }

  void Restore() {
    server_.Restore();
    if (held_ != nullptr) position_ = held_->version - 1;
    position_ = std::min(position_, server_.version());
    held_ = nullptr;
    last_.reset();
  }

  void Converged() {
    const auto& truth = server_.objects();
    RC_ASSERT(cache_.size() == truth.size());
    RC_ASSERT(referee_.known().size() == truth.size());
    for (const auto& [name, object] : truth) {
      const ApiObjectPtr cached = cache_.Get("shop", name);
      RC_ASSERT(cached != nullptr);
      RC_ASSERT(cached->meta.uid == object->meta.uid);
      RC_ASSERT(cached->meta.resource_version == object->meta.resource_version);
      RC_ASSERT(referee_.known().at(name) == cached);
    }
  }

  void Feed(WatcherInput input) {
    WatcherOutput out = watcher_.Step(std::move(input), now_, dice_.Chance());
    if (auto* all = std::get_if<ReplaceCache>(&out.cache))
      cache_.Replace(std::move(all->objects), all->version);
    if (auto* one = std::get_if<ApplyChange>(&out.cache)) cache_.Apply(one->change, one->version);
    if (auto* to = std::get_if<AdvanceVersion>(&out.cache)) cache_.Advance(to->version);
    if (!out.action) return;
    action_ = std::move(*out.action);
    streaming_ = false;
    held_ = nullptr;
  }

  void Turn(bool faulty) {
    now_ += std::chrono::milliseconds(dice_.Below(300));
    if (streaming_) return StreamTurn(faulty);
    if (const auto* wait = std::get_if<WaitUntil>(&action_)) {
      if (now_ >= wait->at || dice_.Percent(20)) {
        now_ = std::max(now_, wait->at);
        Feed(TimerDue{});
      }
    } else if (const auto* page = std::get_if<GetPage>(&action_)) {
      if (faulty && dice_.Percent(25)) return Feed(ListFailed{AnyError()});
      auto answer = server_.List(*page, faulty && dice_.Percent(40));
      if (answer.ok()) return Feed(PageArrived{std::move(answer).value()});
      Feed(ListFailed{answer.error()});
    } else if (const auto* watch = std::get_if<StartWatch>(&action_)) {
      if (faulty && dice_.Percent(25)) return Feed(StreamEnded{AnyError()});
      position_ = server_.Number(watch->version);
      if (!server_.Knows(position_)) {
        if (dice_.Percent(50)) return Feed(StreamEnded{ModelServer::Gone()});
        return Feed(EventArrived{ModelServer::Gone()});
      }
      streaming_ = true;  // ahead of the server: silence
    }
  }

  ApiError AnyError() {
    constexpr ApiErrorKind kKinds[] = {ApiErrorKind::kUnavailable, ApiErrorKind::kTooManyRequests,
                                       ApiErrorKind::kDeadline,    ApiErrorKind::kForbidden,
                                       ApiErrorKind::kGone,        ApiErrorKind::kInternal,
                                       ApiErrorKind::kInvalid};
    return ModelServer::ErrorWith(kKinds[dice_.Below(7)]);
  }

  void TellVersion() {
    Feed(EventArrived{Bookmark{.resource_version = server_.Text(server_.version()),
                               .initial_events_end = false}});
  }

  void StreamTurn(bool faulty) {
    if (faulty && Trouble()) return;
    if (held_ != nullptr) {  // late
      const LogEntry late = *std::exchange(held_, nullptr);
      return Feed(EventArrived{late.change});
    }
    if (!server_.Knows(position_)) return Feed(EventArrived{ModelServer::Gone()});  // too slow
    const LogEntry* next = server_.After(position_);
    if (next == nullptr) {
      if (dice_.Percent(20)) TellVersion();
      return;
    }
    const LogEntry entry = *next;
    position_ = entry.version;
    if (faulty && faults_.out_of_order && dice_.Percent(5)) {
      held_ = std::make_unique<LogEntry>(entry);
      return;
    }
    last_ = entry;
    Feed(EventArrived{entry.change});
  }

  // True: something other than the next event has happened.
  bool Trouble() {
    const int kind = dice_.Below(100);
    if (kind < 4) {  // lost, with what was on its way
      streaming_ = false;
      Feed(StreamEnded{ModelServer::ErrorWith(ApiErrorKind::kUnavailable)});
    } else if (kind < 6) {
      streaming_ = false;
      Feed(StreamEnded{});
    } else if (kind < 8) {
      Feed(EventArrived{AnyError()});
    } else if (kind < 11) {  // an event that cannot be read, or none at all
      const LogEntry* next = server_.Knows(position_) ? server_.After(position_) : nullptr;
      if (next != nullptr) position_ = next->version;
      const bool version_known = next != nullptr && dice_.Percent(50);
      Feed(EventArrived{
          Broken{.problem = "garbage",
                 .resource_version = version_known ? server_.Text(next->version) : ""}});
    } else if (kind < 15 && last_ && (faults_.out_of_order || position_ == last_->version)) {
      Feed(EventArrived{last_->change});  // once more
    } else if (kind < 17) {
      now_ += 3min;  // nobody is served
    } else {
      return false;
    }
    return true;
  }

  Dice dice_;
  const Faults faults_;
  ModelServer server_;
  Referee referee_;
  ObjectCache cache_;
  Watcher watcher_{WatcherOptions{.page_limit = 2}};
  Time now_{1h};

  WatcherAction action_;
  bool streaming_ = false;
  int position_ = 0;                // of the stream
  std::unique_ptr<LogEntry> held_;  // on its way, and overtaken
  std::optional<LogEntry> last_;
};

RC_GTEST_PROP(WatcherModelTest, F2_ConvergesAfterAnyFaults, (std::uint64_t seed)) {
  History history(seed, Faults{});
  history.Run(400);
}

RC_GTEST_PROP(WatcherModelTest, F2_ConvergesWithOpaqueVersions, (std::uint64_t seed)) {
  History history(seed, Faults{.opaque = true, .restore = false, .out_of_order = false});
  history.Run(400);
}

RC_GTEST_PROP(WatcherModelTest, ConvergesWithAServerThatForgets, (std::uint64_t seed)) {
  History history(seed, Faults{.opaque = false, .restore = true, .out_of_order = true});
  history.Run(400);
}

// That the histories are worth something: every way to go on has been taken.
TEST(WatcherModelTest, TheHistoriesReachEverything) {
  WatcherCounts sum;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    History history(seed, Faults{.opaque = false, .restore = seed % 3 == 0, .out_of_order = true});
    history.Run(400);
    const WatcherCounts& counts = history.counts();
    sum.broken_lines += counts.broken_lines;
    sum.bookmarks += counts.bookmarks;
    for (std::size_t i = 0; i < kRelistReasons; ++i) sum.relists[i] += counts.relists[i];
  }
  EXPECT_GT(sum.broken_lines, 100U);
  EXPECT_GT(sum.bookmarks, 100U);
  for (const RelistReason reason : {RelistReason::kExpired, RelistReason::kWentBack,
                                    RelistReason::kSkippedLines, RelistReason::kRefused})
    EXPECT_GT(sum.RelistsFor(reason), 20U) << ToString(reason);
}

}  // namespace
}  // namespace backfill::kube
