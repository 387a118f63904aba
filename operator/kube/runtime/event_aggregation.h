#pragma once

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "base/clock.h"
#include "operator/kube/client/token_bucket.h"
#include "operator/kube/runtime/event.h"

namespace backfill::kube {

// A map that forgets what was not used for longest. Not thread-safe.
template <typename Key, typename Value>
class RecentMap {
 public:
  explicit RecentMap(std::size_t max) : max_(max) {}

  // Made if it is not there. Valid until the next call.
  template <typename Make>
  Value& Use(const Key& key, const Make& make) {
    if (const auto found = at_.find(key); found != at_.end()) {
      order_.splice(order_.begin(), order_, found->second);
    } else {
      order_.emplace_front(key, make());
      at_.emplace(key, order_.begin());
      if (at_.size() > max_) {
        at_.erase(order_.back().first);
        order_.pop_back();
      }
    }
    return order_.front().second;
  }
  Value* Find(const Key& key) {
    const auto found = at_.find(key);
    return found == at_.end() ? nullptr : &found->second->second;
  }
  [[nodiscard]] std::size_t size() const { return at_.size(); }

 private:
  using Order = std::list<std::pair<Key, Value>>;
  const std::size_t max_;
  Order order_;
  std::map<Key, typename Order::iterator> at_;
};

// An Event to be written: created, or its series brought up to date.
struct EventWrite {
  enum class Kind { kCreate, kSeries };
  Kind kind = Kind::kCreate;
  std::string ns;
  std::string name;
  Event event;
  std::int64_t count = 1;  // above 1: a series
  WallTime first{};
  WallTime last{};
};

// Which events are worth a write, by the rules of client-go's EventCorrelator:
//
// - The same again, note included, is counted in a series of the first.
// - More than 10 that differ in their notes only, each within 10 min of the one before, are one
// series
//   "(combined from similar events): .." from then on.
// - Of one object 25 writes, then one in 300 s. What is not written is counted all the same, and
// told
//   with the next write of its series (F26).
// - Of 4,096 objects and kinds of events each; what was not seen for longest is forgotten.
//
// Pure, not thread-safe.
class EventAggregation {
 public:
  struct Options {
    std::size_t alike_before_series = 10;
    Duration alike_within = std::chrono::minutes(10);
    int object_burst = 25;
    Duration object_interval = std::chrono::seconds(300);
    std::size_t max_keys = 4096;
  };

  explicit EventAggregation(const Options& options);

  // What to write; absent: nothing now.
  std::optional<EventWrite> OnEvent(const Event& event, Time now, WallTime wall);
  // It was created: its series can be brought up to date from now on.
  void OnWritten(const EventWrite& write);

 private:
  struct Kind {  // alike: all but the note
    ObjectReference regarding;
    EventType type = EventType::kNormal;
    std::string reason;
    std::string action;
    auto operator<=>(const Kind&) const = default;
  };
  using SeriesKey = std::pair<Kind, std::string>;  // with the note; kCombined for all
  struct Alike {
    std::set<std::string> notes;
    Time last{};
  };
  struct Series {
    std::string name;
    bool created = false;
    std::int64_t count = 0;
    Time last{};
    WallTime first_wall{};
  };
  static Kind KindOf(const Event& event);
  Series* SeriesOf(const EventWrite& write);

  const Options options_;
  RecentMap<Kind, Alike> alike_;
  RecentMap<SeriesKey, Series> series_;
  RecentMap<ObjectReference, TokenBucket> buckets_;
  std::uint64_t sequence_ = 0;
};

}  // namespace backfill::kube
