#include "worker/link/link.h"

// clang-format off
#include "base/mutex.h"  // before grpcpp: Abseil, which it includes, defines GUARDED_BY, too
#include <grpcpp/grpcpp.h>
// clang-format on

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <optional>
#include <random>
#include <thread>
#include <utility>

#include "backfill/v1/coordinator.grpc.pb.h"
#include "base/log.h"
#include "worker/link/channel.h"

namespace backfill::worker {
namespace {

Error Translate(const grpc::Status& status) {
  ErrorCode code = ErrorCode::kUnavailable;
  if (status.error_code() == grpc::StatusCode::UNAUTHENTICATED) code = ErrorCode::kUnauthenticated;
  if (status.error_code() == grpc::StatusCode::PERMISSION_DENIED) code = ErrorCode::kPermission;
  return {code, status.ok() ? "the coordinator ended the stream" : status.error_message()};
}

}  // namespace

Link::Event::Event() = default;
Link::Event::Event(Event&&) noexcept = default;
Link::Event& Link::Event::operator=(Event&&) noexcept = default;
Link::Event::~Event() = default;

class Link::Impl {
 public:
  Impl(LinkOptions options, std::function<void()> wake)
      : options_(std::move(options)),
        wake_(std::move(wake)),
        window_(options_.first_backoff),
        random_(options_.seed) {}

  void Start() {
    thread_ = std::jthread([this](const std::stop_token& stop) {
      pthread_setname_np(pthread_self(), "link-read");
      Run(stop);
    });
  }

  void Stop() {
    if (!thread_.joinable()) return;
    thread_.request_stop();
    {
      MutexLock l(mu_);
      if (context_ != nullptr) context_->TryCancel();
    }
    changed_.notify_all();
    thread_.join();
  }

  std::optional<Event> Poll() {
    std::optional<Event> event;
    {
      MutexLock l(mu_);
      if (in_.empty()) return event;
      event = std::move(in_.front());
      in_.pop_front();
    }
    changed_.notify_all();
    return event;
  }

  bool Send(std::uint64_t stream, v1::WorkerMessage message) {
    {
      MutexLock l(mu_);
      if (stream != stream_ || context_ == nullptr) return false;
      if (out_.size() >= options_.max_queued) {
        context_->TryCancel();
        return false;
      }
      out_.push_back(std::move(message));
    }
    changed_.notify_all();
    return true;
  }

  void CutIfSilent(Time now) {
    MutexLock l(mu_);
    if (context_ == nullptr || now - last_heard_ < options_.silence) return;
    silent_ = true;
    context_->TryCancel();
  }

  void SetReconnectWindow(Duration window) {
    MutexLock l(mu_);
    window_ = std::clamp(window, options_.first_backoff, Duration(10min));
  }

  void ReconnectSoon() {
    {
      MutexLock l(mu_);
      soon_ = true;
    }
    changed_.notify_all();
  }

 private:
  using Stream = grpc::ClientReaderWriter<v1::WorkerMessage, v1::CoordinatorMessage>;

  void Run(const std::stop_token& stop) {
    for (int failures = 0; !stop.stop_requested();) {
      const Time begun = std::chrono::steady_clock::now();
      const Ending ending = RunStream(stop);
      failures = ending.spoke ? 0 : failures + 1;  // resets on the first message, not on connecting
      // The connection, too, may lead nowhere: the next stream makes one of its own. Behind one
      // address may be several, as with a Service: a connection leads for ever to whom it led
      // first, though another leads now. Not each time: the next stream of the same channel goes to
      // the next address, where a name has several.
      const bool often = failures > 0 && failures % options_.streams_a_connection == 0;
      if (ending.silent || often) stub_.reset();
      const bool steady =
          ending.spoke && std::chrono::steady_clock::now() - begun >= options_.steady;
      if (!steady) Wait(stop, failures, ending.refused);
    }
  }

  // Both are read for each stream; a channel lives as long as whom it trusts.
  Result<std::string> Prepare() {
    std::string authorities = TRY(ReadAuthorities(options_.dial));
    if (authorities.empty() && !StaysOnThisMachine(options_.dial.address))
      return Error{ErrorCode::kInvalid, "the coordinator is on a network, and there is no TLS"};
    if (!stub_ || authorities != authorities_) {
      // It reconnects by itself, and equal channels would share a connection anyway.
      stub_ = v1::Coordinator::NewStub(OpenChannel(options_.dial, authorities));
      authorities_ = std::move(authorities);
    }
    return ReadToken(options_.dial);
  }

  struct Ending {
    bool spoke = false;  // the coordinator said anything
    bool refused = false;
    bool silent = false;  // given up, as it said nothing
  };

  // One stream from beginning to end.
  Ending RunStream(const std::stop_token& stop) {
    const Result<std::string> token = Prepare();
    grpc::ClientContext context;
    if (token.ok()) context.AddMetadata("authorization", "Bearer " + *token);
    std::uint64_t number = 0;
    {
      MutexLock l(mu_);
      if (stop.stop_requested()) return {};
      number = ++stream_;
      out_.clear();
      if (token.ok()) {
        context_ = &context;
        silent_ = false;
        last_heard_ = std::chrono::steady_clock::now();
      }
    }
    if (!token.ok()) return End(stop, number, token.error(), false);
    const std::unique_ptr<Stream> stream = stub_->Work(&context);
    Event connected;
    connected.stream = number;
    Push(stop, std::move(connected));
    bool spoke = false;
    {
      const std::jthread writer([this, &stream, number](const std::stop_token& writer_stop) {
        pthread_setname_np(pthread_self(), "link-write");
        WriteAll(writer_stop, *stream, number);
      });
      auto message = std::make_unique<v1::CoordinatorMessage>();
      while (stream->Read(message.get())) {
        spoke = true;
        Hear();
        Event event;
        event.kind = Event::Kind::kMessage;
        event.stream = number;
        event.message = std::exchange(message, std::make_unique<v1::CoordinatorMessage>());
        if (!Push(stop, std::move(event))) context.TryCancel();
      }
    }  // the writer has ended: nothing else touches the stream
    const grpc::Status status = stream->Finish();
    {
      MutexLock l(mu_);
      context_ = nullptr;
      out_.clear();
    }
    return End(stop, number, Translate(status), spoke);
  }

  Ending End(const std::stop_token& stop, std::uint64_t number, const Error& error, bool spoke) {
    Event gone;
    gone.kind = Event::Kind::kDisconnected;
    gone.stream = number;
    gone.error = error;
    Push(stop, std::move(gone));
    MutexLock l(mu_);
    return {.spoke = spoke,
            .refused =
                error.code == ErrorCode::kUnauthenticated || error.code == ErrorCode::kPermission,
            .silent = silent_};
  }

  void Hear() {
    MutexLock l(mu_);
    spoken_at_ = last_heard_ = std::chrono::steady_clock::now();
  }

  void WriteAll(const std::stop_token& stop, Stream& stream, std::uint64_t number) {
    while (true) {
      v1::WorkerMessage message;
      {
        MutexLock l(mu_);
        changed_.wait(mu_, stop, [this]() REQUIRES(mu_) { return !out_.empty(); });
        if (stop.stop_requested() || stream_ != number) return;
        message = std::move(out_.front());
        out_.pop_front();
      }
      if (!stream.Write(message)) return;  // the reader learns of the end by itself
    }
  }

  // False: stopped while the queue was full.
  bool Push(const std::stop_token& stop, Event event) {
    {
      MutexLock l(mu_);
      changed_.wait(mu_, stop, [this]() REQUIRES(mu_) { return in_.size() < options_.max_queued; });
      if (stop.stop_requested()) return false;
      in_.push_back(std::move(event));
    }
    wake_();
    return true;
  }

  void Wait(const std::stop_token& stop, int failures, bool refused) {
    MutexLock l(mu_);
    const bool known =
        spoken_at_ && std::chrono::steady_clock::now() - *spoken_at_ < options_.known_for;
    const Duration longest = refused ? options_.refused_backoff
                             : known ? options_.known_backoff
                                     : options_.max_backoff;
    Duration bound = options_.first_backoff;
    for (int i = 1; i < failures && bound < longest; ++i) bound *= 2;
    bound = std::max(std::min(bound, longest), window_);
    const auto wait = [&](Duration at_most) REQUIRES(mu_) {
      return Duration(std::uniform_int_distribution<Duration::rep>(0, at_most.count())(random_));
    };
    if (soon_ ||
        changed_.wait_for(mu_, stop, wait(bound), [this]() REQUIRES(mu_) { return soon_; }))
      changed_.wait_for(mu_, stop, wait(options_.first_backoff), [] { return false; });
  }

  const LinkOptions options_;
  const std::function<void()> wake_;

  // The reading thread's.
  std::unique_ptr<v1::Coordinator::Stub> stub_;
  std::string authorities_;  // of its channel

  Mutex mu_;
  std::condition_variable_any changed_;
  std::deque<Event> in_ GUARDED_BY(mu_);
  std::deque<v1::WorkerMessage> out_ GUARDED_BY(mu_);
  grpc::ClientContext* context_ GUARDED_BY(mu_) = nullptr;  // of the stream that is open
  std::uint64_t stream_ GUARDED_BY(mu_) = 0;
  Time last_heard_ GUARDED_BY(mu_){};
  std::optional<Time> spoken_at_ GUARDED_BY(mu_);  // on any stream
  bool silent_ GUARDED_BY(mu_) = false;
  Duration window_ GUARDED_BY(mu_);
  bool soon_ GUARDED_BY(mu_) = false;  // no more long waits
  std::mt19937_64 random_ GUARDED_BY(mu_);

  std::jthread thread_;  // last: joins before the rest goes
};

Link::Link(LinkOptions options, std::function<void()> wake)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(wake))) {}
Link::~Link() { Stop(); }
void Link::Start() { impl_->Start(); }
void Link::Stop() { impl_->Stop(); }
std::optional<Link::Event> Link::Poll() { return impl_->Poll(); }
bool Link::Send(std::uint64_t stream, v1::WorkerMessage message) {
  return impl_->Send(stream, std::move(message));
}
void Link::CutIfSilent(Time now) { impl_->CutIfSilent(now); }
void Link::SetReconnectWindow(Duration window) { impl_->SetReconnectWindow(window); }
void Link::ReconnectSoon() { impl_->ReconnectSoon(); }

}  // namespace backfill::worker
