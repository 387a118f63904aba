// The watches of the fake API server.

#include <fmt/format.h>

#include <algorithm>

#include "tests/fakes/api_server/api_state.h"
#include "tests/fakes/api_server/open_stream.h"
#include "tests/fakes/api_server/server_parts.h"
#include "tests/fakes/fake_api_server.h"

namespace backfill::fakes {
namespace {

using namespace std::chrono_literals;

constexpr Duration kBookmarkEvery = 60s;
constexpr Duration kLastBookmarkBeforeEnd = 2s;
constexpr std::uint64_t kDefaultSeconds = 1800;
constexpr std::uint64_t kMaxSeconds = 24 * 3600;

// Each minute, and a little before the server ends the watch.
Time NextBookmark(Time now, Time ends) {
  const Time last = ends - kLastBookmarkBeforeEnd;
  return last > now ? std::min(last, now + kBookmarkEvery) : now + kBookmarkEvery;
}

std::string EventLine(std::string_view type, const Json& object) {
  return Dump(Json{{"type", type}, {"object", object}});
}

std::string ExpiredLine(std::uint64_t version, std::uint64_t oldest) {
  return EventLine(
      "ERROR",
      StatusOf(Expired(fmt::format("too old resource version: {} ({})", version, oldest))));
}

// Of an object as the reader wants to see it.
std::string ObjectLine(const OpenStream& stream, std::string_view type, const Json& object) {
  return EventLine(type, stream.as == Representation::kWhole ? object : PartialOf(object));
}

// What a change means for who sees only what the selector lets through.
std::optional<std::string> LineOf(const StoredChange& change, const OpenStream& stream) {
  const Selector& selector = stream.selector;
  const bool was_seen = change.before != nullptr && selector.Matches(*change.before);
  if (change.object == nullptr) {
    if (!was_seen) return std::nullopt;
    return ObjectLine(stream, "DELETED", *change.last);
  }
  if (selector.Matches(*change.object)) {
    return ObjectLine(stream, was_seen ? "MODIFIED" : "ADDED", *change.object);
  }
  if (!was_seen) return std::nullopt;
  Json left = *change.before;
  left["metadata"]["resourceVersion"] = std::to_string(change.version);
  return ObjectLine(stream, "DELETED", left);
}

}  // namespace

std::uint64_t FakeApiServer::VisibleTo(const OpenStream& stream) const {
  const auto held = held_events_.find(stream.kind->plural);
  const std::uint64_t visible = Visible();
  return held == held_events_.end() ? visible : std::min(visible, held->second);
}

std::string FakeApiServer::BookmarkOf(const OpenStream& stream, bool initial_end) {
  Json metadata{{"resourceVersion", std::to_string(std::max(stream.seen, VisibleTo(stream)))},
                {"creationTimestamp", nullptr}};
  if (initial_end) metadata["annotations"] = {{"k8s.io/initial-events-end", "true"}};
  return ObjectLine(stream, "BOOKMARK",
                    Json{{"kind", stream.kind->kind},
                         {"apiVersion", stream.kind->api_version()},
                         {"metadata", std::move(metadata)}});
}

void FakeApiServer::QueueInitialEvents(OpenStream& stream, bool until_bookmark) {
  const std::uint64_t visible = VisibleTo(stream);
  const ObjectMap objects = state_->history().AllAt(*stream.kind, visible);
  for (const auto& [key, object] : objects) {
    if (!stream.ns.empty() && NamespaceOf(key) != stream.ns) continue;
    if (stream.selector.Matches(*object))
      stream.pending.push_back(ObjectLine(stream, "ADDED", *object));
  }
  stream.seen = visible;
  if (until_bookmark) stream.pending.push_back(BookmarkOf(stream, true));
}

std::optional<kube::HttpResponse> FakeApiServer::OpenWatch(const ApiCall& call, OpenStream& stream,
                                                           std::uint64_t& begin_at) {
  stream.kind = state_->KindOf(call);
  if (stream.kind == nullptr) return NoSuchPath();
  const auto selector = Selector::Parse(call, *stream.kind);
  if (!selector.ok()) return ResponseTo(selector.error());
  const auto version = call.Version();
  if (!version.ok()) return ResponseTo(version.error());
  const auto seconds = call.Number("timeoutSeconds");
  if (!seconds.ok()) return ResponseTo(seconds.error());
  const std::string match = call.Option("resourceVersionMatch");
  const std::string initial = call.Option("sendInitialEvents");
  if (!initial.empty() && match != "NotOlderThan") {
    return ResponseTo(InvalidOptions(
        "resourceVersionMatch",
        "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"));
  }
  if (initial.empty() && !match.empty()) {
    return ResponseTo(InvalidOptions(
        "resourceVersionMatch",
        "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is "
        "provided"));
  }
  stream.selector = *selector;
  stream.ns = call.ns;
  stream.as = call.as;
  stream.bookmarks = call.Flag("allowWatchBookmarks");
  const std::uint64_t timeout = seconds->value_or(0) == 0 ? kDefaultSeconds : **seconds;
  const Time now = clock_.Steady();
  stream.ends = now + std::chrono::seconds(std::min(timeout, kMaxSeconds));
  stream.next_bookmark = NextBookmark(now, stream.ends);

  begin_at = version->value_or(0);
  if (initial == "true" || (initial.empty() && begin_at == 0)) {
    // With bookmarks their end is marked, asked for or not.
    QueueInitialEvents(stream, stream.bookmarks);
  } else if (begin_at == 0) {  // sendInitialEvents=false: from now on
    stream.seen = VisibleTo(stream);
  } else if (begin_at < state_->history().compacted()) {
    if (expired_as_ == ExpiredAs::kStatus) {
      return ResponseTo(Expired(fmt::format("too old resource version: {} ({})", begin_at,
                                            state_->history().compacted())));
    }
    stream.pending.push_back(ExpiredLine(begin_at, state_->history().compacted()));
    stream.end = OpenStream::End::kAfterPending;
  } else {
    stream.seen = begin_at;  // also if that is ahead: then it is silent until the time has come
  }
  return std::nullopt;
}

bool FakeApiServer::TakeEventLever(std::map<std::string, int>& lever, const std::string& plural) {
  const auto it = lever.find(plural);
  if (it == lever.end() || it->second == 0) return false;
  --it->second;
  return true;
}

std::optional<std::string> FakeApiServer::NextLine(OpenStream& stream) {
  if (!stream.pending.empty()) {
    std::string line = std::move(stream.pending.front());
    stream.pending.pop_front();
    return line;
  }
  if (stream.end == OpenStream::End::kAfterPending) return std::nullopt;
  const History& history = state_->history();
  if (stream.seen < history.forgotten()) {
    stream.end = OpenStream::End::kAfterPending;
    return ExpiredLine(stream.seen, history.compacted());
  }
  const std::uint64_t visible = VisibleTo(stream);
  for (auto it = history.After(stream.seen); it != history.end() && it->version <= visible; ++it) {
    stream.seen = it->version;
    if (it->kind != stream.kind) continue;
    if (!stream.ns.empty() && NamespaceOf(it->key) != stream.ns) continue;
    std::optional<std::string> line = LineOf(*it, stream);
    if (!line || TakeEventLever(drops_, stream.kind->plural)) continue;
    if (TakeEventLever(repeats_, stream.kind->plural)) stream.pending.push_back(*line);
    return line;
  }
  return std::nullopt;
}

Result<kube::HttpResponse> FakeApiServer::Stream(
    const kube::HttpRequest& request, const kube::StreamLimits& limits, std::stop_token stop,
    const std::function<bool(std::string_view)>& on_line) {
  const ApiCall call = ParseCall(request);
  if (call.verb != "watch") return Error{ErrorCode::kInvalid, "not a watch: " + request.target};
  OpenStream stream;
  {
    MutexLock l(mu_);
    stream.last_line = clock_.Steady();
    const Time patience = std::min(limits.deadline, clock_.Steady() + limits.idle);
    const Gate gate = Pass(call, patience, stop);
    std::optional<kube::HttpResponse> response = gate.response;
    std::uint64_t begin_at = 0;
    if (!gate.error && !response) response = OpenWatch(call, stream, begin_at);
    Log(call, request, gate.error ? 0 : response ? response->status : 200);
    Wake();
    if (gate.error) return *gate.error;
    if (response) return *response;
    if (calls_left_ == 0) stream.end = OpenStream::End::kCut;
    streams_.push_back(&stream);
  }
  auto result = RunStream(stream, limits, stop, on_line);
  MutexLock l(mu_);
  streams_.remove(&stream);
  Wake();
  return result;
}

Result<kube::HttpResponse> FakeApiServer::RunStream(
    OpenStream& stream, const kube::StreamLimits& limits, const std::stop_token& stop,
    const std::function<bool(std::string_view)>& on_line) {
  const kube::HttpResponse ended{.status = 200, .body = {}, .retry_after = {}, .warnings = {}};
  while (true) {
    std::optional<std::string> line;
    {
      MutexLock l(mu_);
      const auto finished = [&]() REQUIRES(mu_) {
        return stream.end == OpenStream::End::kCut || stream.end == OpenStream::End::kEnded;
      };
      const auto ready = [&]() REQUIRES(mu_) {
        if (line || finished()) return true;
        if (stream.frozen || clock_.Steady() < stream.last_line + drip_) return false;
        const std::uint64_t before = stream.seen;
        line = NextLine(stream);
        if (!line && stream.seen != before) Wake();  // somebody may wait for it to catch up
        return line.has_value() || stream.end == OpenStream::End::kAfterPending;
      };
      // When something happens by itself.
      const auto next_time = [&]() REQUIRES(mu_) {
        Time until = std::min(limits.deadline, stream.last_line + limits.idle);
        if (stream.frozen) return until;
        until = std::min(until, stream.ends);
        if (stream.bookmarks) until = std::min(until, stream.next_bookmark);
        const Time drop = stream.last_line + drip_;
        return clock_.Steady() < drop ? std::min(until, drop) : until;
      };
      stream.reading = false;
      Wake();
      while (!line) {
        if (stop.stop_requested()) return Error{ErrorCode::kAborted, "stopped"};
        if (stream.end == OpenStream::End::kCut) {
          return Error{ErrorCode::kUnavailable, "connection reset by peer"};
        }
        if (stream.end == OpenStream::End::kEnded) return ended;
        const Time now = clock_.Steady();
        if (now >= limits.deadline) return Error{ErrorCode::kDeadline, "the stream was too long"};
        if (ready()) {
          if (line) break;
          if (!finished()) return ended;  // after what was pending
          continue;
        }
        if (stream.bookmarks && !stream.frozen && now >= stream.next_bookmark) {
          line = BookmarkOf(stream, false);
          stream.next_bookmark = NextBookmark(now, stream.ends);
          break;
        }
        const bool over = !stream.frozen && now >= stream.ends;
        if (over) return ended;
        if (now - stream.last_line >= limits.idle) {
          return Error{ErrorCode::kDeadline, "nothing came for too long"};
        }
        WaitUntil(next_time(), stop,
                  [&]() REQUIRES(mu_) { return ready() || clock_.Steady() >= next_time(); });
      }
      stream.reading = true;
      stream.last_line = clock_.Steady();
    }
    if (line->size() > limits.max_line_bytes) {
      return Error{ErrorCode::kInvalid, fmt::format("a line of {} bytes, at most {} are allowed",
                                                    line->size(), limits.max_line_bytes)};
    }
    if (!on_line(*line)) return ended;
  }
}

void FakeApiServer::CutStreams(const std::string& plural) {
  ForStreams(plural, [](OpenStream& stream) { stream.end = OpenStream::End::kCut; });
}

void FakeApiServer::EndStreams(const std::string& plural) {
  ForStreams(plural, [](OpenStream& stream) { stream.end = OpenStream::End::kEnded; });
}

void FakeApiServer::ExpireStreams(const std::string& plural) {
  ForStreams(plural, [](OpenStream& stream) {
    stream.pending.push_back(ExpiredLine(stream.seen, stream.seen + 1));
    stream.end = OpenStream::End::kAfterPending;
  });
}

void FakeApiServer::FreezeStreams(const std::string& plural) {
  ForStreams(plural, [](OpenStream& stream) { stream.frozen = true; });
}

void FakeApiServer::ThawStreams() {
  ForStreams("", [](OpenStream& stream) { stream.frozen = false; });
}

void FakeApiServer::DropEvents(int n, const std::string& plural) {
  MutexLock l(mu_);
  drops_[plural] = n;
}

void FakeApiServer::RepeatEvents(int n, const std::string& plural) {
  MutexLock l(mu_);
  repeats_[plural] = n;
}

void FakeApiServer::HoldEvents(const std::string& plural) {
  MutexLock l(mu_);
  held_events_[plural] = state_->history().version();
}

void FakeApiServer::ReleaseEvents() {
  MutexLock l(mu_);
  held_events_.clear();
  Wake();
}

void FakeApiServer::DripEvents(Duration between) {
  MutexLock l(mu_);
  drip_ = between;
  Wake();
}

void FakeApiServer::SendBookmarks(const std::string& plural) {
  MutexLock l(mu_);
  for (OpenStream* stream : streams_) {
    if (!stream->bookmarks || (!plural.empty() && stream->kind->plural != plural)) continue;
    // Only what is delivered before may be behind it: so it is due, not pending.
    stream->next_bookmark = clock_.Steady();
  }
  Wake();
}

void FakeApiServer::SendLine(std::string line, const std::string& plural) {
  ForStreams(plural, [&line](OpenStream& stream) { stream.pending.push_back(line); });
}

void FakeApiServer::AnswerExpiredWatches(ExpiredAs as) {
  MutexLock l(mu_);
  expired_as_ = as;
}

int FakeApiServer::OpenStreams(const std::string& plural) const {
  MutexLock l(mu_);
  return static_cast<int>(std::ranges::count_if(streams_, [&](const OpenStream* stream) {
    return plural.empty() || stream->kind->plural == plural;
  }));
}

bool FakeApiServer::AwaitStreams(int n, const std::string& plural) {
  return AwaitForReal([&]() REQUIRES(mu_) {
    return std::ranges::count_if(streams_, [&](const OpenStream* stream) {
             return plural.empty() || stream->kind->plural == plural;
           }) >= n;
  });
}

bool FakeApiServer::AwaitDelivered(const std::string& plural) {
  return AwaitForReal([&]() REQUIRES(mu_) {
    return std::ranges::all_of(streams_, [&](const OpenStream* stream) REQUIRES(mu_) {
      if (!plural.empty() && stream->kind->plural != plural) return true;
      if (stream->frozen) return true;
      const auto next = state_->history().After(stream->seen);
      const bool more = next != state_->history().end() && next->version <= VisibleTo(*stream);
      return !stream->reading && stream->pending.empty() && !more;
    });
  });
}

}  // namespace backfill::fakes
