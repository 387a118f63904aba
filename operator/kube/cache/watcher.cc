#include "operator/kube/cache/watcher.h"

#include <algorithm>
#include <utility>

#include "operator/kube/cache/resource_version.h"

namespace backfill::kube {
namespace {

// A server that begins a watch from a version and fails in it would do so for ever, for what it
// stumbles over stays where it is.
constexpr int kMaxErrorEvents = 3;

// Whether repeating a refused watch can end otherwise. By what the caller can do about it.
bool CanPass(ApiErrorKind kind) {
  switch (kind) {
    case ApiErrorKind::kTooManyRequests:
    case ApiErrorKind::kUnavailable:
    case ApiErrorKind::kDeadline:
    case ApiErrorKind::kAborted:
    case ApiErrorKind::kForbidden:        // until the role is there again
    case ApiErrorKind::kUnauthenticated:  // until the token is
      return true;
    case ApiErrorKind::kGone:
    case ApiErrorKind::kNotFound:  // the kind has gone, and with it what was cached
    case ApiErrorKind::kInvalid:   // also a line longer than can be received
    case ApiErrorKind::kTooLarge:
    case ApiErrorKind::kConflict:
    case ApiErrorKind::kAlreadyExists:
    case ApiErrorKind::kInternal:
      return false;
  }
  return false;
}

RelistReason ReasonFor(ApiErrorKind kind) {
  return kind == ApiErrorKind::kGone ? RelistReason::kExpired : RelistReason::kRefused;
}

}  // namespace

std::string_view ToString(RelistReason reason) {
  switch (reason) {
    case RelistReason::kExpired:
      return "expired";
    case RelistReason::kWentBack:
      return "went_back";
    case RelistReason::kSkippedLines:
      return "skipped_lines";
    case RelistReason::kNoVersion:
      return "no_version";
    case RelistReason::kRefused:
      return "refused";
    case RelistReason::kErrorEvents:
      return "error_events";
  }
  return "unknown";
}

WatcherOutput Watcher::Step(WatcherInput input, Time now, double chance) {
  const Moment at{.now = now, .chance = chance};
  return std::visit([&](auto& happened) { return On(std::move(happened), at); }, input);
}

// ---- listing

WatcherOutput Watcher::On(Begin, Moment at) {
  if (phase_ != Phase::kIdle) return {};
  next_wait_ = options_.first_wait;
  healthy_since_ = at.now;
  return {.cache = {}, .action = List(), .problem = {}};
}

WatcherAction Watcher::List() {
  phase_ = Phase::kListing;
  ++counts_.lists;
  list_version_.clear();
  token_.clear();
  pages_ = 0;
  // R1
  std::string version;
  if (from_ == ListFrom::kAny) version = "0";
  if (from_ == ListFrom::kLast) version = version_;
  return GetPage{
      .version = std::move(version), .token = {}, .limit = all_at_once_ ? 0 : options_.page_limit};
}

WatcherOutput Watcher::On(PageArrived input, Moment at) {
  if (phase_ != Phase::kListing) return {};
  ListPage& page = input.page;
  counts_.broken_items += page.broken;
  if (++pages_ > options_.max_pages ||
      objects_.size() + unreadable_.size() + page.items.size() + page.broken > options_.max_objects)
    return BadList("the list has no end", at);
  // All pages are of one version. If they are not, what has changed since the first one is told
  // again by the watch.
  if (list_version_.empty()) list_version_ = std::move(page.resource_version);
  objects_.insert(objects_.end(), std::make_move_iterator(page.items.begin()),
                  std::make_move_iterator(page.items.end()));
  unreadable_.insert(unreadable_.end(), std::make_move_iterator(page.unreadable.begin()),
                     std::make_move_iterator(page.unreadable.end()));
  if (!page.next.empty()) {
    if (page.next == token_) return BadList("the list repeats a page", at);
    token_ = page.next;
    return {.cache = {},
            .action = GetPage{.version = {}, .token = token_, .limit = options_.page_limit},
            .problem = std::move(page.problem)};
  }
  version_ = std::exchange(list_version_, {});
  ordered_ = !IsNoVersion(version_);
  from_ = ordered_ ? ListFrom::kLast : ListFrom::kNewest;
  all_at_once_ = false;
  skipped_ = false;
  ReplaceCache replace{.objects = std::exchange(objects_, {}),
                       .version = version_,
                       .unreadable = std::exchange(unreadable_, {})};
  return {.cache = std::move(replace), .action = Watch(at), .problem = std::move(page.problem)};
}

WatcherOutput Watcher::BadList(std::string problem, Moment at) {
  from_ = ListFrom::kNewest;
  all_at_once_ = false;
  return {
      .cache = {}, .action = Wait(Then::kList, std::nullopt, at), .problem = std::move(problem)};
}

WatcherOutput Watcher::On(const ListFailed& input, Moment at) {
  if (phase_ != Phase::kListing) return {};
  const ApiError& error = input.error;
  if (error.kind == ApiErrorKind::kGone && token_.empty() && from_ != ListFrom::kNewest) {
    // R1: the server does not know that version, or not yet. There is only one other to ask for.
    from_ = ListFrom::kNewest;
    return {.cache = {}, .action = List(), .problem = error.message};
  }
  // The list took longer than its token lives, and might again: all at once it cannot.
  const bool slow = error.kind == ApiErrorKind::kGone && !token_.empty();
  // What a server serves from memory it serves all at once, whatever the limit: from etcd it comes
  // in pages. It also knows no version that is too garbled to be one.
  const bool refused = error.kind == ApiErrorKind::kInvalid ||
                       error.kind == ApiErrorKind::kTooLarge ||
                       error.kind == ApiErrorKind::kInternal;
  if (slow || refused) from_ = ListFrom::kNewest;
  all_at_once_ = slow;
  return {.cache = {},
          .action = Wait(Then::kList, error.retry_after, at),
          .problem = error.Annotate("listing").message};
}

WatcherAction Watcher::ListAgain(RelistReason reason,
                                 std::optional<std::chrono::milliseconds> retry_after, Moment at) {
  ++counts_.relists[static_cast<std::size_t>(reason)];
  // Not at once: a server that always finds a reason must not be listed in a loop, and one that has
  // just started has all its clients listing.
  return Wait(Then::kList, retry_after, at);
}

// ---- watching

WatcherAction Watcher::Watch(Moment at) {
  phase_ = Phase::kWatching;
  ++counts_.watches;
  watching_since_ = at.now;
  moved_ = false;
  const int spread = options_.max_watch_seconds - options_.min_watch_seconds + 1;
  const int seconds = std::min(options_.max_watch_seconds,
                               options_.min_watch_seconds + static_cast<int>(at.chance * spread));
  return StartWatch{.version = IsNoVersion(version_) ? "0" : version_,
                    .timeout_seconds = seconds,
                    .give_up_after = std::chrono::seconds(seconds) + options_.grace};
}

// False: it would go back.
bool Watcher::MoveTo(const std::string& version) {
  if (version.empty()) return true;
  if (ordered_ && IsOlder(version, version_)) return false;
  if (!ordered_ || version != version_) {
    moved_ = true;
    error_events_ = 0;
  }
  version_ = version;
  ordered_ = !IsNoVersion(version_);
  if (ordered_) from_ = ListFrom::kLast;
  return true;
}

WatcherOutput Watcher::On(EventArrived input, Moment at) {
  if (phase_ != Phase::kWatching) return {};
  return std::visit([&](auto& event) { return OnEvent(std::move(event), at); }, input.event);
}

WatcherOutput Watcher::OnEvent(Change change, Moment at) {
  ++counts_.changes;
  const std::string& version = change.object->meta.resource_version;
  if (!ordered_ && change.type == ChangeType::kAdded) {  // R6
    moved_ = true;
    return {.cache = ApplyChange{.change = std::move(change), .version = {}},
            .action = {},
            .problem = {}};
  }
  if (!MoveTo(version)) {
    return {.cache = {},
            .action = ListAgain(RelistReason::kWentBack, std::nullopt, at),
            .problem = "an event is older than the one before"};
  }
  ApplyChange apply{.change = std::move(change), .version = version_};
  return {.cache = std::move(apply), .action = {}, .problem = {}};
}

WatcherOutput Watcher::OnEvent(const Bookmark& bookmark, Moment at) {
  ++counts_.bookmarks;
  if (!MoveTo(bookmark.resource_version)) {
    // A server that was restored is silent to a watch ahead of it, but for these.
    return {.cache = {},
            .action = ListAgain(RelistReason::kWentBack, std::nullopt, at),
            .problem = "the server is older than what it said before"};
  }
  return {.cache = AdvanceVersion{.version = version_}, .action = {}, .problem = {}};
}

WatcherOutput Watcher::OnEvent(Broken broken, Moment at) {
  ++counts_.broken_lines;
  skipped_ = true;
  if (!MoveTo(broken.resource_version)) {
    return {.cache = {},
            .action = ListAgain(RelistReason::kWentBack, std::nullopt, at),
            .problem = std::move(broken.problem)};
  }
  return {.cache = {}, .action = {}, .problem = std::move(broken.problem)};
}

WatcherOutput Watcher::OnEvent(const ApiError& error, Moment at) {
  WatcherOutput out{.cache = {}, .action = {}, .problem = error.Annotate("watching").message};
  if (error.kind == ApiErrorKind::kGone) {  // R3
    out.action = ListAgain(RelistReason::kExpired, error.retry_after, at);
  } else if (++error_events_ >= kMaxErrorEvents) {
    error_events_ = 0;
    out.action = ListAgain(RelistReason::kErrorEvents, error.retry_after, at);
  } else if (!ordered_) {
    out.action = ListAgain(RelistReason::kNoVersion, error.retry_after, at);
  } else {
    out.action = Wait(Then::kWatch, error.retry_after, at);
  }
  return out;
}

WatcherOutput Watcher::On(const StreamEnded& input, Moment at) {
  if (phase_ != Phase::kWatching) return {};
  const std::optional<ApiError>& error = input.error;
  WatcherOutput out;
  if (error) out.problem = error->Annotate("watching").message;
  const auto retry_after = error ? error->retry_after : std::nullopt;
  if (error && !CanPass(error->kind)) {  // R3
    out.action = ListAgain(ReasonFor(error->kind), retry_after, at);
  } else if (skipped_) {
    out.action = ListAgain(RelistReason::kSkippedLines, retry_after, at);
  } else if (!ordered_) {
    // Watching on would begin with all objects again, and what was deleted in between never be
    // told.
    out.action = ListAgain(RelistReason::kNoVersion, retry_after, at);
  } else if (moved_ || (!error && at.now - watching_since_ >= options_.short_watch)) {
    out.action = Watch(at);  // R4
  } else {
    out.action = Wait(Then::kWatch, retry_after, at);  // R4, R5
  }
  return out;
}

// ---- waiting

WatcherAction Watcher::Wait(Then then, std::optional<std::chrono::milliseconds> retry_after,
                            Moment at) {
  ++counts_.failures;
  phase_ = Phase::kWaiting;
  then_ = then;
  // Of a list that failed nothing is kept, nor is memory while nothing is done.
  objects_ = std::vector<ApiObjectPtr>();
  unreadable_ = std::vector<ObjectKey>();
  if (at.now - healthy_since_ >= options_.healthy) next_wait_ = options_.first_wait;
  auto wait = std::chrono::duration_cast<Duration>(next_wait_ * (1.0 + at.chance));
  next_wait_ = std::min(next_wait_ * 2, options_.longest_wait);
  if (retry_after)
    wait = std::max(wait, std::min<Duration>(*retry_after, options_.longest_retry_after));
  due_ = at.now + wait;
  return WaitUntil{.at = due_};
}

WatcherOutput Watcher::On(TimerDue, Moment at) {
  if (phase_ != Phase::kWaiting) return {};
  if (at.now < due_) return {.cache = {}, .action = WaitUntil{.at = due_}, .problem = {}};
  healthy_since_ = at.now;
  return {.cache = {}, .action = then_ == Then::kList ? List() : Watch(at), .problem = {}};
}

}  // namespace backfill::kube
