#include "operator/certificates/secret_watch.h"

#include <pthread.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "base/log.h"
#include "operator/kube/client/query.h"
#include "operator/kube/client/wire.h"

namespace backfill::certificates {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t kShortestWatch = 240;  // seconds
constexpr std::int64_t kLongestWatch = 290;
constexpr Duration kGiveUpAfter = 5s;
constexpr Duration kHealthyWatch = 1s;
constexpr Duration kHealed = 2min;
constexpr Duration kFirstWait = 800ms;
constexpr Duration kLongestWait = 30s;
constexpr Duration kLongestRetryAfter = 60s;

}  // namespace

SecretWatch::SecretWatch(kube::HttpTransport& transport, const Clock& clock, kube::ObjectKey secret,
                         Seen seen, SecretWatchOptions options)
    : transport_(transport),
      clock_(clock),
      secret_(std::move(secret)),
      seen_(std::move(seen)),
      options_(std::move(options)),
      api_(transport, nullptr),
      random_(options_.seed) {}

void SecretWatch::Start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
  pthread_setname_np(thread_.native_handle(), "watch-secret");
}

void SecretWatch::Stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

void SecretWatch::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    const bool fine = Get(stop) && Watch(stop);
    if (fine || stop.stop_requested()) continue;
    options_.wait(clock_.Steady() + NextWait(), stop);
  }
}

bool SecretWatch::Get(const std::stop_token& stop) {
  const auto found = api_.Get(kCertificateSecrets, secret_,
                              {.deadline = clock_.Steady() + options_.call_timeout, .stop = stop});
  if (found.ok()) {
    seen_(std::static_pointer_cast<const CertificateSecret>(*found));
    return true;
  }
  if (stop.stop_requested()) return false;
  if (found.error().kind == kube::ApiErrorKind::kNotFound) {
    seen_(nullptr);
    return true;  // it may come
  }
  Note(found.error());
  return false;
}

// True: it was open for a while and has ended as it should.
bool SecretWatch::Watch(const std::stop_token& stop) {
  const std::int64_t seconds =
      std::uniform_int_distribution<std::int64_t>(kShortestWatch, kLongestWatch)(random_);
  kube::Query query;
  query.Add("fieldSelector", "metadata.name=" + secret_.name)
      .Add("watch", "true")
      .Add("allowWatchBookmarks", "true")
      .Add("timeoutSeconds", std::to_string(seconds));
  kube::HttpRequest request;
  request.target = query.After(PathOf(kCertificateSecrets.type, secret_.ns));
  const Time begin = clock_.Steady();
  const Duration longest = std::chrono::seconds(seconds) + kGiveUpAfter;
  bool refused = false;
  const auto ended = transport_.Stream(request, {.deadline = begin + longest, .idle = longest},
                                       stop, [&](std::string_view line) {
                                         refused = !OnLine(line);
                                         return !refused;
                                       });
  if (stop.stop_requested()) return false;
  const Duration lasted = clock_.Steady() - begin;
  if (lasted >= kHealed) failures_ = 0;
  if (!ended.ok()) {
    Note(kube::ErrorOf(ended.error()));
    return false;
  }
  if (ended->status != 200) {
    Note(kube::ErrorOf(*ended));
    return false;
  }
  if (refused || lasted < kHealthyWatch) return false;
  noted_ = false;
  return true;
}

// False: the watch is over.
bool SecretWatch::OnLine(std::string_view line) {
  const kube::WatchEvent event = kube::ParseWatchLine(line, kCertificateSecrets.decode);
  if (const auto* change = std::get_if<kube::Change>(&event)) {
    const kube::ObjectMeta& meta = change->object->meta;
    // Whatever the server made of the selector.
    if (meta.name != secret_.name || meta.ns != secret_.ns) return true;
    seen_(change->type == kube::ChangeType::kDeleted
              ? nullptr
              : std::static_pointer_cast<const CertificateSecret>(change->object));
    return true;
  }
  if (const auto* error = std::get_if<kube::ApiError>(&event)) {
    Note(*error);
    return false;
  }
  if (const auto* broken = std::get_if<kube::Broken>(&event)) {
    Note(broken->problem);
    return false;  // get it instead
  }
  return true;  // a bookmark
}

void SecretWatch::Note(std::string_view problem) {
  if (std::exchange(noted_, true)) return;
  Log(LogLevel::kWarning, "the Secret of the certificates cannot be watched",
      {{"namespace", secret_.ns}, {"name", secret_.name}, {"error", std::string(problem)}});
}

void SecretWatch::Note(const kube::ApiError& error) {
  if (error.retry_after)
    asked_to_wait_ = std::min<Duration>(*error.retry_after, kLongestRetryAfter);
  Note(error.message);
}

Duration SecretWatch::NextWait() {
  const Duration base = std::min(kLongestWait, kFirstWait * (1 << std::min(failures_, 6)));
  ++failures_;
  const double factor = std::uniform_real_distribution<>(1, 2)(random_);
  return std::max(std::chrono::duration_cast<Duration>(base * factor),
                  std::exchange(asked_to_wait_, Duration{0}));
}

}  // namespace backfill::certificates
