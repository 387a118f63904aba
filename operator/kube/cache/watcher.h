#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "operator/kube/client/api_error.h"
#include "operator/kube/client/wire.h"

// How a copy of one resource is kept up to date: list, then watch, and what to do when either goes
// wrong. It is where client-go has its Reflector and kube-rs its watcher, without the I/O (R9): a
// value that takes what happened, the time and a random number, and says what to do.
namespace backfill::kube {

using namespace std::chrono_literals;

struct WatcherOptions {
  int page_limit = 500;
  // A watch asks the server to end it after a random time between these (R2), so that the watches
  // of many clients do not end together. The client gives up `grace` later.
  int min_watch_seconds = 240;
  int max_watch_seconds = 290;
  Duration grace = 5s;
  // Waits after failures (R5): the first, doubled up to the longest, each times 1 to 2 at random;
  // the first again after `healthy` without a failure.
  Duration first_wait = 800ms;
  Duration longest_wait = 30s;
  Duration healthy = 2min;
  Duration longest_retry_after = 60s;
  // A watch that ends sooner and has brought nothing counts as a failure.
  Duration short_watch = 1s;
  // Bounds on a list whose server never comes to an end.
  std::size_t max_objects = 500'000;
  std::size_t max_pages = 10'000;
};

// ---- what can happen

struct Begin {};
struct PageArrived {
  ListPage page;
};
struct ListFailed {
  ApiError error;
};
struct EventArrived {
  WatchEvent event;
};
// By the server's wish, if there is no error. A refusal is an end, too.
struct StreamEnded {
  std::optional<ApiError> error;
};
struct TimerDue {};
using WatcherInput =
    std::variant<Begin, PageArrived, ListFailed, EventArrived, StreamEnded, TimerDue>;

// ---- what is to be done

// At least as new as `version`; "0": any that the server has at hand; "": the newest. With a token
// neither counts: it is a page of the list that was begun.
struct GetPage {
  std::string version;
  std::string token;
  int limit = 0;  // 0: all at once
};
struct StartWatch {
  std::string version;
  int timeout_seconds = 0;
  Duration give_up_after{};
};
struct WaitUntil {
  Time at;
};
using WatcherAction = std::variant<GetPage, StartWatch, WaitUntil>;

struct ReplaceCache {  // by these and no others
  std::vector<ApiObjectPtr> objects;
  std::string version;
  // Exist, but could not be read: what the cache has of them stays.
  std::vector<ObjectKey> unreadable;
};
struct ApplyChange {
  Change change;
  // What the cache is at now; empty: unchanged. Not always that of the object: see R6.
  std::string version;
};
struct AdvanceVersion {  // nothing has changed up to here
  std::string version;
};
using CacheUpdate = std::variant<std::monostate, ReplaceCache, ApplyChange, AdvanceVersion>;

struct WatcherOutput {
  CacheUpdate cache;  // comes before the action
  // Absent: go on with the watch that is under way. Present: that watch, if any, is over, and its
  // end is not to be told.
  std::optional<WatcherAction> action;
  std::string problem;  // for the log
};

// Why all was listed once more.
enum class RelistReason {
  kExpired,       // the version is too old for the server
  kWentBack,      // something older than what was known: late, or the server has lost its memory
  kSkippedLines,  // what a broken line said is known only by listing
  kNoVersion,     // a watch from no version ended before it had one
  kRefused,       // the watch itself was refused for good, or cannot be received
  kErrorEvents,   // the server begins watches and fails in them
};
inline constexpr std::size_t kRelistReasons = 6;
std::string_view ToString(RelistReason reason);

struct WatcherCounts {
  std::uint64_t lists = 0;
  std::uint64_t watches = 0;
  std::uint64_t changes = 0;
  std::uint64_t bookmarks = 0;
  std::uint64_t broken_lines = 0;  // also events of unknown types
  std::uint64_t broken_items = 0;  // of lists
  std::uint64_t failures = 0;      // those that were waited for
  std::array<std::uint64_t, kRelistReasons> relists{};

  [[nodiscard]] std::uint64_t RelistsFor(RelistReason reason) const {
    return relists[static_cast<std::size_t>(reason)];
  }
};

// Not thread-safe; a value. `now` never goes back. The owner performs each output before the next
// input; of GetPage, StartWatch and WaitUntil one is under way at any time. What comes too late,
// such as the end of a watch that was given up, is passed over.
//
// Rules, in the code by their numbers:
//   R1  The first list takes any version, later ones at least the last; the newest is asked for
//       only when the server does not know that version. Asking for it each time would put every
//       relist on etcd; and without asking for the last one, time could go back.
//   R3  "Expired" comes as a status or as an ERROR event: both end in a list.
//   R4  All other ends continue from the last version, without a list.
//   R6  Events move the version, except for the ADDED ones at the beginning of a watch from no
//       version, which are unordered.
//   R7  A broken line is counted and skipped. What it said is lost, so the end of that watch is
//       followed by a list: until then the cache is at most `max_watch_seconds` + `grace` behind.
//   R12 An event that is older than the version comes from a stream that is not in order, or from a
//       server that was restored: only a list can tell what is true.
class Watcher {
 public:
  explicit Watcher(const WatcherOptions& options) : options_(options) {}

  // `chance`: at random from [0, 1).
  WatcherOutput Step(WatcherInput input, Time now, double chance);

  [[nodiscard]] const WatcherCounts& counts() const { return counts_; }
  // The last one that is certain; empty before the first list.
  [[nodiscard]] const std::string& version() const { return version_; }

 private:
  enum class Phase { kIdle, kListing, kWatching, kWaiting };
  enum class ListFrom { kAny, kLast, kNewest };
  enum class Then { kList, kWatch };  // after a wait
  struct Moment {
    Time now;
    double chance;
  };

  WatcherOutput On(Begin, Moment at);
  WatcherOutput On(PageArrived input, Moment at);
  WatcherOutput On(const ListFailed& input, Moment at);
  WatcherOutput On(EventArrived input, Moment at);
  WatcherOutput On(const StreamEnded& input, Moment at);
  WatcherOutput On(TimerDue, Moment at);

  WatcherOutput OnEvent(Change change, Moment at);
  WatcherOutput OnEvent(const Bookmark& bookmark, Moment at);
  WatcherOutput OnEvent(const ApiError& error, Moment at);
  WatcherOutput OnEvent(Broken broken, Moment at);
  bool MoveTo(const std::string& version);

  WatcherAction List();
  WatcherAction Watch(Moment at);
  WatcherAction Wait(Then then, std::optional<std::chrono::milliseconds> retry_after, Moment at);
  WatcherAction ListAgain(RelistReason reason, std::optional<std::chrono::milliseconds> retry_after,
                          Moment at);
  WatcherOutput BadList(std::string problem, Moment at);

  WatcherOptions options_;
  Phase phase_ = Phase::kIdle;
  WatcherCounts counts_;

  // ---- listing
  ListFrom from_ = ListFrom::kAny;
  bool all_at_once_ = false;
  std::vector<ApiObjectPtr> objects_;  // of the pages so far
  std::vector<ObjectKey> unreadable_;
  std::string list_version_;
  std::string token_;
  std::size_t pages_ = 0;

  // ---- watching
  std::string version_;
  bool ordered_ = false;  // false: at the beginning of a watch from no version
  bool skipped_ = false;  // a line, since the last list
  bool moved_ = false;    // the version, since this watch began
  Time watching_since_{};
  int error_events_ = 0;  // in a row

  // ---- waiting
  Then then_ = Then::kList;
  Time due_{};
  Duration next_wait_{};
  Time healthy_since_{};
};

}  // namespace backfill::kube
