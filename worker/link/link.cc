#include "worker/link/link.h"

// clang-format off
#include "base/mutex.h"  // before grpcpp: Abseil, which it includes, defines GUARDED_BY, too
#include <grpcpp/grpcpp.h>
// clang-format on

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <random>
#include <thread>
#include <utility>

#include "backfill/v1/coordinator.grpc.pb.h"
#include "base/log.h"

namespace backfill::worker {
namespace {

constexpr int kMaxMessageBytes = 16 * 1024 * 1024;  // a workload can hold 100,000 keys of 128 bytes

Error Translate(const grpc::Status& status) {
  ErrorCode code = ErrorCode::kUnavailable;
  if (status.error_code() == grpc::StatusCode::UNAUTHENTICATED) code = ErrorCode::kUnauthenticated;
  if (status.error_code() == grpc::StatusCode::PERMISSION_DENIED) code = ErrorCode::kPermission;
  return {code, status.ok() ? "the coordinator ended the stream" : status.error_message()};
}

std::shared_ptr<grpc::Channel> Connect(const std::string& address) {
  grpc::ChannelArguments args;
  args.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  args.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  args.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  args.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // The waiting between attempts is this class's; the channel's own would come on top of it.
  args.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  args.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1'000);
  args.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1'000);
  args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  args.SetMaxReceiveMessageSize(kMaxMessageBytes);
  args.SetMaxSendMessageSize(kMaxMessageBytes);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), args);
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
    // One channel for good: it reconnects by itself, and equal channels would share a connection
    // anyway.
    const auto stub = v1::Coordinator::NewStub(Connect(options_.address));
    for (int failures = 0; !stop.stop_requested();) {
      const bool spoke = RunStream(stop, *stub);
      failures = spoke ? 0 : failures + 1;  // resets on the first message, not on connecting
      Wait(stop, failures);
    }
  }

  // One stream from beginning to end; whether the coordinator said anything on it.
  bool RunStream(const std::stop_token& stop, v1::Coordinator::Stub& stub) {
    grpc::ClientContext context;
    context.AddMetadata("authorization", "Bearer " + options_.token);
    std::uint64_t number = 0;
    {
      MutexLock l(mu_);
      if (stop.stop_requested()) return false;
      context_ = &context;
      number = ++stream_;
      out_.clear();
    }
    const std::unique_ptr<Stream> stream = stub.Work(&context);
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
    Event gone;
    gone.kind = Event::Kind::kDisconnected;
    gone.stream = number;
    gone.error = Translate(status);
    Push(stop, std::move(gone));
    return spoke;
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

  void Wait(const std::stop_token& stop, int failures) {
    MutexLock l(mu_);
    Duration bound = options_.first_backoff;
    for (int i = 1; i < failures && bound < options_.max_backoff; ++i) bound *= 2;
    bound = std::max(std::min(bound, options_.max_backoff), window_);
    const auto wait = [&](Duration at_most) REQUIRES(mu_) {
      return Duration(std::uniform_int_distribution<Duration::rep>(0, at_most.count())(random_));
    };
    if (soon_ ||
        changed_.wait_for(mu_, stop, wait(bound), [this]() REQUIRES(mu_) { return soon_; }))
      changed_.wait_for(mu_, stop, wait(options_.first_backoff), [] { return false; });
  }

  const LinkOptions options_;
  const std::function<void()> wake_;

  Mutex mu_;
  std::condition_variable_any changed_;
  std::deque<Event> in_ GUARDED_BY(mu_);
  std::deque<v1::WorkerMessage> out_ GUARDED_BY(mu_);
  grpc::ClientContext* context_ GUARDED_BY(mu_) = nullptr;  // of the stream that is open
  std::uint64_t stream_ GUARDED_BY(mu_) = 0;
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
void Link::SetReconnectWindow(Duration window) { impl_->SetReconnectWindow(window); }
void Link::ReconnectSoon() { impl_->ReconnectSoon(); }

}  // namespace backfill::worker
