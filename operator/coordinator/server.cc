#include "operator/coordinator/server.h"

#include "base/mutex.h"  // before gRPC: Abseil defines GUARDED_BY, too

#include <grpc/grpc.h>
#include <grpcpp/grpcpp.h>
#include <openssl/crypto.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <map>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "backfill/v1/coordinator.grpc.pb.h"
#include "base/log.h"
#include "operator/coordinator/session.h"

namespace backfill::coordinator {
namespace {

using grpc::StatusCode;
using Reactor = grpc::ServerBidiReactor<v1::WorkerMessage, v1::CoordinatorMessage>;

// A stream that does not take its end by then is cut.
constexpr Duration kCloseTimeout = std::chrono::seconds(5);

// A stream that is not taken up.
class Refusal final : public Reactor {
 public:
  explicit Refusal(const grpc::Status& status) { Finish(status); }
  void OnDone() override { delete this; }
};

bool ShowsToken(const grpc::CallbackServerContext& context, const std::string& token) {
  constexpr std::string_view kScheme = "Bearer ";
  const auto& metadata = context.client_metadata();
  const auto it = metadata.find("authorization");
  if (it == metadata.end() || metadata.count("authorization") != 1) return false;
  const std::string_view value(it->second.data(), it->second.size());
  if (value.substr(0, kScheme.size()) != kScheme) return false;
  const std::string_view shown = value.substr(kScheme.size());
  // The time taken must not tell how many bytes were right; the length is no secret.
  return shown.size() == token.size() &&
         CRYPTO_memcmp(shown.data(), token.data(), token.size()) == 0;
}

StatusCode ToGrpc(ErrorCode code) {
  switch (code) {
    case ErrorCode::kNotFound:
      return StatusCode::NOT_FOUND;
    case ErrorCode::kConflict:
      return StatusCode::ABORTED;
    case ErrorCode::kExpired:
      return StatusCode::FAILED_PRECONDITION;
    case ErrorCode::kInvalid:
      return StatusCode::INVALID_ARGUMENT;
    case ErrorCode::kPermission:
      return StatusCode::PERMISSION_DENIED;
    case ErrorCode::kUnauthenticated:
      return StatusCode::UNAUTHENTICATED;
    case ErrorCode::kUnavailable:
      return StatusCode::UNAVAILABLE;
    case ErrorCode::kDeadline:
      return StatusCode::DEADLINE_EXCEEDED;
    case ErrorCode::kAborted:
      return StatusCode::UNAVAILABLE;
    case ErrorCode::kInternal:
      return StatusCode::INTERNAL;
  }
  return StatusCode::INTERNAL;
}

// Takes gRPC's library into use for the rest of the process. When its last user goes, the library
// waits for a poller of its own that may sleep for 10 s: a runner must not hang for that long at
// its end.
void KeepLibrary() {
  static const bool kept = (grpc_init(), true);
  static_cast<void>(kept);
}

Error SystemError(ErrorCode code, const std::string& doing) {
  return {code, doing + ": " + std::generic_category().message(errno)};
}

// Only we may enter the directory: before the socket has its own mode, and whatever that mode is.
Status PrepareSocket(const std::string& path) {
  if (path.size() >= sizeof(sockaddr_un{}.sun_path)) {
    return Error{ErrorCode::kInvalid, "socket path " + path + " is longer than " +
                                          std::to_string(sizeof(sockaddr_un{}.sun_path) - 1) +
                                          " bytes"};
  }
  const std::string directory = std::filesystem::path(path).parent_path().string();
  if (directory.empty())
    return Error{ErrorCode::kInvalid, "socket path " + path + " has no directory"};
  if (mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return SystemError(ErrorCode::kUnavailable, "making directory " + directory);
  }
  struct stat info{};
  if (lstat(directory.c_str(), &info) != 0) {
    return SystemError(ErrorCode::kUnavailable, "looking at directory " + directory);
  }
  if (!S_ISDIR(info.st_mode) || info.st_uid != geteuid() || (info.st_mode & 077) != 0) {
    return Error{ErrorCode::kInvalid, directory + " must be a directory of ours with mode 0700"};
  }
  if (lstat(path.c_str(), &info) == 0) {
    if (!S_ISSOCK(info.st_mode))
      return Error{ErrorCode::kInvalid, path + " exists and is no socket"};
    if (unlink(path.c_str()) != 0) return SystemError(ErrorCode::kUnavailable, "removing " + path);
  }
  return Ok{};
}

}  // namespace

class Server::Impl final : public v1::Coordinator::CallbackService {
 public:
  Impl(const ServerOptions& options, const Clock& clock, SessionHandler& handler)
      : options_(options), clock_(clock), handler_(handler) {}

  Status Start() {
    if (options_.token.empty()) return Error{ErrorCode::kInvalid, "the coordinator needs a token"};
    KeepLibrary();
    const bool unix_socket = !options_.unix_socket.empty();
    if (unix_socket) TRY(PrepareSocket(options_.unix_socket));
    const std::string address = unix_socket ? "unix:" + options_.unix_socket : "127.0.0.1:0";
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(this);
    builder.SetMaxReceiveMessageSize(static_cast<int>(options_.max_message_bytes));
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
    // Workers ping every 30 s; gRPC's default minimum of 5 min would end their streams.
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 15'000);
    server_ = builder.BuildAndStart();
    if (!server_ || port == 0) {
      return Error{ErrorCode::kUnavailable, "cannot listen on " + address};
    }
    address_ = unix_socket ? address : "127.0.0.1:" + std::to_string(port);
    if (unix_socket && chmod(options_.unix_socket.c_str(), 0600) != 0) {
      return SystemError(ErrorCode::kUnavailable, "setting the mode of " + options_.unix_socket);
    }
    return Ok{};
  }

  [[nodiscard]] const std::string& address() const { return address_; }

  void Shutdown() {
    if (!server_ || stopping_.exchange(true)) return;
    for (const auto& session : Sessions()) {
      session->Close({StatusCode::UNAVAILABLE, "the coordinator ends"});
    }
    server_->Shutdown(
        std::chrono::system_clock::now() +
        std::chrono::duration_cast<std::chrono::milliseconds>(options_.shutdown_timeout));
    server_->Wait();
    if (!options_.unix_socket.empty()) unlink(options_.unix_socket.c_str());
  }

  Reactor* Work(grpc::CallbackServerContext* context) override {
    if (!ShowsToken(*context, options_.token)) {
      unauthenticated_ += 1;
      return new Refusal({StatusCode::UNAUTHENTICATED, "not accepted"});
    }
    if (stopping_) return new Refusal({StatusCode::UNAVAILABLE, "the coordinator ends"});
    const SessionId id{next_id_.fetch_add(1)};
    const auto session = std::make_shared<Session>(
        id, *context, clock_.Steady(),
        Session::Callbacks{.on_message =
                               [this, id](v1::WorkerMessage&& message) {
                                 handler_.OnMessage(id, std::move(message));
                               },
                           .on_broken = [this] { broken_ += 1; },
                           .on_done = [this, id] { Remove(id); }});
    {
      MutexLock l(mu_);
      if (sessions_.size() >= options_.max_streams) {
        refused_ += 1;
        return new Refusal({StatusCode::RESOURCE_EXHAUSTED, "too many streams"});
      }
      sessions_.emplace(id, session);
    }
    streams_ += 1;
    session->ReadNext();
    return session.get();
  }

  std::shared_ptr<Session> Find(SessionId id) const {
    MutexLock l(mu_);
    const auto it = sessions_.find(id);
    return it == sessions_.end() ? nullptr : it->second;
  }

  std::vector<std::shared_ptr<Session>> Sessions() const {
    MutexLock l(mu_);
    std::vector<std::shared_ptr<Session>> all;
    all.reserve(sessions_.size());
    for (const auto& [id, session] : sessions_) all.push_back(session);
    return all;
  }

  void Tick() {
    const Time now = clock_.Steady();
    for (const auto& session : Sessions()) {
      session->CheckTime(now, options_.hello_timeout, kCloseTimeout);
    }
  }

  [[nodiscard]] ServerCounts counts() const {
    return {.streams = streams_,
            .unauthenticated = unauthenticated_,
            .refused = refused_,
            .broken = broken_};
  }

 private:
  void Remove(SessionId id) {
    std::shared_ptr<Session> last;  // destroyed after the lock is released
    {
      MutexLock l(mu_);
      const auto it = sessions_.find(id);
      if (it == sessions_.end()) return;
      last = std::move(it->second);
      sessions_.erase(it);
    }
    handler_.OnGone(id);
  }

  const ServerOptions options_;
  const Clock& clock_;
  SessionHandler& handler_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;

  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> next_id_{1};
  std::atomic<std::uint64_t> streams_{0}, unauthenticated_{0}, refused_{0}, broken_{0};

  mutable Mutex mu_;
  std::map<SessionId, std::shared_ptr<Session>> sessions_ GUARDED_BY(mu_);
};

Server::Server(const ServerOptions& options, const Clock& clock, SessionHandler& handler)
    : impl_(std::make_unique<Impl>(options, clock, handler)) {}

Server::~Server() { Shutdown(); }

Status Server::Start() { return impl_->Start(); }
std::string Server::address() const { return impl_->address(); }
void Server::Shutdown() { impl_->Shutdown(); }
void Server::Tick() { impl_->Tick(); }
ServerCounts Server::counts() const { return impl_->counts(); }

void Server::Send(SessionId session, v1::CoordinatorMessage&& message) {
  if (const auto s = impl_->Find(session)) s->Send(std::move(message));
}

void Server::ReadNext(SessionId session) {
  if (const auto s = impl_->Find(session)) s->ReadNext();
}

void Server::Close(SessionId session, const Error& reason) {
  if (const auto s = impl_->Find(session)) s->Close({ToGrpc(reason.code), reason.message});
}

}  // namespace backfill::coordinator
