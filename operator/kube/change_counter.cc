#include "operator/kube/change_counter.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "base/log.h"
#include "operator/kube/client/wire.h"

namespace backfill::kube {
namespace {

using namespace std::chrono_literals;

// R5
constexpr Duration kHealthyAfter = 2min;
constexpr Duration kTooShort = 1s;
// R2: the client is a little more patient than the server.
constexpr Duration kGrace = 5s;

std::optional<std::uint64_t> NumberOf(std::string_view version) {
  std::uint64_t number = 0;
  const char* end = version.data() + version.size();
  const auto parsed = std::from_chars(version.data(), end, number);
  if (version.empty() || parsed.ec != std::errc{} || parsed.ptr != end) return std::nullopt;
  return number;
}

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

}  // namespace

ChangeCounter::ChangeCounter(HttpTransport& transport, const Clock& clock,
                             std::vector<ResourceType> kinds, Options options)
    : transport_(transport), clock_(clock), options_(std::move(options)) {
  for (const ResourceType& type : kinds)
    watched_.push_back({.type = type, .version = {}, .last = {}});
}

ChangeCounter::~ChangeCounter() {
  for (std::jthread& thread : threads_) thread.request_stop();
}

Result<std::uint64_t> ChangeCounter::Wait(std::uint64_t seen, Time deadline, std::stop_token stop) {
  {
    MutexLock l(mu_);
    // One caller begins, the others wait for it.
    changed_.wait(mu_, stop, [this]() REQUIRES(mu_) { return state_ != State::kStarting; });
    if (stop.stop_requested()) return count_;
    if (state_ == State::kIdle) state_ = State::kStarting;
  }
  TRY(Begin(stop));
  MutexLock l(mu_);
  changed_.wait_until(mu_, stop, deadline, [&]() REQUIRES(mu_) { return count_ != seen; });
  return count_;
}

Status ChangeCounter::Begin(const std::stop_token& stop) {
  {
    MutexLock l(mu_);
    if (state_ == State::kRunning) return Ok{};
  }
  // From here on this thread alone is in here: the state is kStarting.
  std::optional<Error> failed;
  for (Watched& watched : watched_) {
    auto version = ListVersion(watched.type, stop);
    if (!version.ok()) {
      failed = version.error().ToError();
      break;
    }
    watched.version = *version;
    MutexLock l(mu_);
    if (const auto number = NumberOf(*version)) watched.newest = std::max(watched.newest, *number);
  }
  if (!failed) {
    for (Watched& watched : watched_) {
      threads_.emplace_back([this, &watched](const std::stop_token& s) { Run(watched, s); });
    }
  }
  MutexLock l(mu_);
  state_ = failed ? State::kIdle : State::kRunning;
  changed_.notify_all();
  if (failed) return *failed;
  return Ok{};
}

ApiResult<std::string> ChangeCounter::ListVersion(const ResourceType& type,
                                                  const std::stop_token& stop) {
  const HttpRequest request{.method = HttpMethod::kGet,
                            .target = PathOf(type, options_.ns) + "?limit=1",
                            .content_type = {},
                            .body = {}};
  const std::string doing = fmt::format("listing {}", type.plural);
  const auto response = transport_.Send(request, clock_.Steady() + options_.call_timeout, stop);
  if (!response.ok()) return ErrorOf(response.error()).Annotate(doing);
  if (response->status != 200) return ErrorOf(*response).Annotate(doing);
  auto page = ParseList(response->body, DecodeMetaOnly);
  if (!page.ok()) return ErrorOf(page.error()).Annotate(doing);
  return std::move(page->resource_version);
}

void ChangeCounter::CountWrite(std::string_view kind, std::string_view version) {
  MutexLock l(mu_);
  const auto it = std::ranges::find_if(
      watched_, [&](const Watched& watched) { return watched.type.kind == kind; });
  if (it != watched_.end()) {
    Count(*it, version);
  } else {
    ++count_;
  }
  changed_.notify_all();
}

void ChangeCounter::CountWrite() {
  MutexLock l(mu_);
  ++count_;
  changed_.notify_all();
}

// Versions of one kind come in their order (R12), so what is not newer has been counted: a write of
// ours before its event, or an event that came twice.
void ChangeCounter::Count(Watched& watched, std::string_view version) {
  if (const auto number = NumberOf(version)) {
    if (*number <= watched.newest) return;
    watched.newest = *number;
  } else {
    if (version == watched.last) return;
    watched.last = std::string(version);
  }
  ++count_;
}

void ChangeCounter::Run(Watched& watched, const std::stop_token& stop) {
  Duration backoff = options_.first_backoff;
  bool relist = false;
  while (!stop.stop_requested()) {
    const Time began = clock_.Steady();
    bool progress = false;
    std::optional<std::chrono::milliseconds> retry_after;
    if (relist) {
      auto version = ListVersion(watched.type, stop);
      if (version.ok()) {
        relist = false;
        watched.version = *version;
        CountWrite();  // whatever has happened meanwhile
        continue;
      }
      retry_after = version.error().retry_after;
    } else {
      relist = WatchOnce(watched, stop, progress, retry_after);
    }
    const Duration lasted = clock_.Steady() - began;
    if (lasted >= kHealthyAfter) backoff = options_.first_backoff;
    // A watch that ends after a while, or brought something, is renewed at once.
    if (!retry_after && !relist && (progress || lasted >= kTooShort)) continue;
    Pause(std::max<Duration>(Jittered(backoff), retry_after.value_or(0ms)), stop);
    backoff = std::min<Duration>(backoff * 2, options_.max_backoff);
  }
}

bool ChangeCounter::WatchOnce(Watched& watched, const std::stop_token& stop, bool& progress,
                              std::optional<std::chrono::milliseconds>& retry_after) {
  const std::chrono::seconds seconds = WatchSeconds();
  const HttpRequest request{
      .method = HttpMethod::kGet,
      .target = fmt::format("{}?watch=true&allowWatchBookmarks=true&timeoutSeconds={}"
                            "&resourceVersion={}",
                            PathOf(watched.type, options_.ns), seconds.count(), watched.version),
      .content_type = {},
      .body = {}};
  bool expired = false;
  const auto on_event =
      Overloaded{[&](const Change& change) {
                   MutexLock l(mu_);
                   watched.version = change.object->meta.resource_version;
                   Count(watched, watched.version);
                 },
                 [&](const Bookmark& bookmark) { watched.version = bookmark.resource_version; },
                 [&](const ApiError& error) {
                   expired = error.kind == ApiErrorKind::kGone;
                   retry_after = error.retry_after;
                 },
                 [&](const Broken& broken) {  // something has changed, whatever it is
                   MutexLock l(mu_);
                   ++count_;
                   if (!broken.resource_version.empty()) watched.version = broken.resource_version;
                 }};
  const Time deadline = clock_.Steady() + seconds + kGrace;
  const auto response = transport_.Stream(
      request, {.deadline = deadline, .idle = seconds + kGrace}, stop, [&](std::string_view line) {
        const WatchEvent event = ParseWatchLine(line, DecodeMetaOnly);
        const bool is_error = std::holds_alternative<ApiError>(event);
        progress = progress || !is_error;
        std::visit(on_event, event);
        changed_.notify_all();
        return !is_error;
      });
  if (response.ok() && response->status != 200) {
    const ApiError error = ErrorOf(*response);
    expired = error.kind == ApiErrorKind::kGone;
    retry_after = error.retry_after.value_or(0ms);
    Log(LogLevel::kWarning, "a watch was refused",
        {{"kind", std::string(watched.type.plural)}, {"error", error.message}});
  }
  if (!response.ok() && response.error().code == ErrorCode::kUnavailable && !progress) {
    retry_after = response.error().retry_after.value_or(0ms);
  }
  return expired;
}

void ChangeCounter::Pause(Duration wait, const std::stop_token& stop) {
  MutexLock l(mu_);
  changed_.wait_for(mu_, stop, wait, [] { return false; });
}

Duration ChangeCounter::Jittered(Duration wait) {
  MutexLock l(mu_);
  const double factor = std::uniform_real_distribution<double>(1.0, 2.0)(random_);
  return std::chrono::duration_cast<Duration>(wait * factor);
}

std::chrono::seconds ChangeCounter::WatchSeconds() {
  MutexLock l(mu_);
  return std::chrono::seconds(std::uniform_int_distribution<int>(240, 290)(random_));
}

}  // namespace backfill::kube
