#include "operator/coordinator/server.h"

#include "base/mutex.h"  // before gRPC: Abseil defines GUARDED_BY, too

#include <absl/synchronization/mutex.h>
#include <grpc/grpc.h>
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "backfill/v1/coordinator.grpc.pb.h"
#include "operator/coordinator/authenticator.h"
#include "operator/coordinator/front_door.h"
#include "operator/coordinator/peer_gate.h"
#include "operator/coordinator/rpc_log.h"
#include "operator/coordinator/session.h"
#include "operator/coordinator/shared_token.h"
#include "operator/coordinator/tls_credentials.h"
#include "operator/coordinator/unix_socket.h"
#include "operator/coordinator/worker_slots.h"

namespace backfill::coordinator {
namespace {

using grpc::StatusCode;
using Reactor = grpc::ServerBidiReactor<v1::WorkerMessage, v1::CoordinatorMessage>;

// A stream that does not take its end by then is cut.
constexpr Duration kCloseTimeout = std::chrono::seconds(5);

// Of each connection gRPC keeps a buffer of that size; messages are a few hundred bytes.
constexpr int kMaxTlsFrame = 2048;

// A stream that is not taken up.
class Refusal final : public Reactor {
 public:
  explicit Refusal(const grpc::Status& status) { Finish(status); }
  void OnDone() override { delete this; }
};

// The token that is shown; nullopt: none, or more than one.
std::optional<std::string> TokenOf(const grpc::CallbackServerContext& context) {
  constexpr std::string_view kScheme = "Bearer ";
  const auto& metadata = context.client_metadata();
  const auto it = metadata.find("authorization");
  if (it == metadata.end() || metadata.count("authorization") != 1) return std::nullopt;
  const std::string_view value(it->second.data(), it->second.size());
  if (value.substr(0, kScheme.size()) != kScheme) return std::nullopt;
  return std::string(value.substr(kScheme.size()));
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
//
// Debian builds Abseil as for debugging: each lock of gRPC's, of which there are many a message,
// looks for cycles among all locks that there are. That takes a tenth of a coordinator's time.
void KeepLibrary() {
  static const bool kept = (LogForRpc(), grpc_init(), true);
  static_cast<void>(kept);
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
}

int Millis(Duration d) {
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(d).count();
  return static_cast<int>(std::clamp<std::int64_t>(ms, 1, std::numeric_limits<int>::max()));
}

// "[::]:9443" of "[::]:0" once a port is bound.
std::string WithPort(const std::string& listen, int port) {
  return listen.substr(0, listen.rfind(':') + 1) + std::to_string(port);
}

}  // namespace

class Server::Impl final : public v1::Coordinator::CallbackService,
                           public std::enable_shared_from_this<Server::Impl> {
 public:
  Impl(const ServerOptions& options, const Clock& clock, SessionHandler& handler)
      : options_(options),
        clock_(clock),
        handler_(handler),
        shared_token_(options.token),
        authenticator_(options.authenticator != nullptr ? *options.authenticator : shared_token_),
        front_door_(options.network.connections, [this](int fd) { Take(fd); }),
        gate_(options.peers) {}

  Status Start() {
    if (options_.authenticator == nullptr && options_.token.empty())
      return Error{ErrorCode::kInvalid, "the coordinator needs a token"};
    const bool network = !options_.listen.empty();
    if (network && options_.certificates == nullptr)
      return Error{ErrorCode::kInvalid,
                   "the coordinator needs certificates to listen on a network"};
    KeepLibrary();
    const bool unix_socket = !network && !options_.unix_socket.empty();
    if (unix_socket) TRY(PrepareSocket(options_.unix_socket));
    const std::string address = network       ? options_.listen
                                : unix_socket ? "unix:" + options_.unix_socket
                                              : "127.0.0.1:0";
    credentials_ = options_.certificates != nullptr ? TlsCredentials(*options_.certificates)
                                                    : grpc::InsecureServerCredentials();
    int port = 0;
    grpc::ServerBuilder builder;
    if (network) {
      TRY(front_door_.Listen(address));
      port = front_door_.port();
      acceptor_ = builder.experimental().AddExternalConnectionAcceptor(
          grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD, credentials_);
    } else {
      builder.AddListeningPort(address, credentials_, &port);
    }
    builder.RegisterService(this);
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
    // Workers ping every 30 s; gRPC's default minimum of 5 min would end their streams.
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 15'000);
    std::size_t max_message_bytes = options_.max_message_bytes;
    if (network) {
      max_message_bytes = std::min(max_message_bytes, options_.network.max_message_bytes);
      BoundConnections(builder);
    }
    builder.SetMaxReceiveMessageSize(static_cast<int>(max_message_bytes));
    server_ = builder.BuildAndStart();
    if (!server_ || port == 0) {
      return Error{ErrorCode::kUnavailable, "cannot listen on " + address};
    }
    if (network) front_door_.Open();
    address_ = network       ? WithPort(options_.listen, port)
               : unix_socket ? address
                             : "127.0.0.1:" + std::to_string(port);
    if (unix_socket) return CloseSocketToOthers(options_.unix_socket);
    return Ok{};
  }

  [[nodiscard]] const std::string& address() const { return address_; }

  void Shutdown() {
    if (!server_ || stopping_.exchange(true)) return;
    front_door_.Stop();
    for (const auto& session : Sessions()) {
      session->Close({StatusCode::UNAVAILABLE, "the coordinator ends"});
    }
    server_->Shutdown(
        std::chrono::system_clock::now() +
        std::chrono::duration_cast<std::chrono::milliseconds>(options_.shutdown_timeout));
    server_->Wait();
    if (options_.listen.empty() && !options_.unix_socket.empty())
      unlink(options_.unix_socket.c_str());
  }

  Reactor* Work(grpc::CallbackServerContext* context) override {
    if (stopping_) return new Refusal({StatusCode::UNAVAILABLE, "the coordinator ends"});
    if (!handler_.Serves()) {
      not_serving_ += 1;
      return new Refusal({StatusCode::UNAVAILABLE, "another replica leads"});
    }
    const std::string peer = context->peer();
    // On one machine all share an address.
    const std::string address = options_.listen.empty() ? "" : AddressOf(peer);
    std::optional<std::string> token = TokenOf(*context);
    const SessionId id{next_id_.fetch_add(1)};
    const Time now = clock_.Steady();
    std::shared_ptr<Session> session;
    {
      MutexLock l(mu_);
      if (sessions_.size() >= options_.max_streams) {
        refused_ += 1;
        return new Refusal({StatusCode::RESOURCE_EXHAUSTED, "too many streams"});
      }
      if (!address.empty()) {
        const auto verdict = gate_.Enter(address, now);
        if (verdict != PeerGate::Verdict::kOpen) {
          (verdict == PeerGate::Verdict::kClosed ? closed_ : refused_) += 1;
          return new Refusal({StatusCode::RESOURCE_EXHAUSTED, "too many streams"});
        }
        if (!token) gate_.Leave(address);
      }
      if (token) {
        session = std::make_shared<Session>(id, *context, now, CallbacksOf(id));
        sessions_.emplace(id, Stream{.session = session,
                                     .token = *token,
                                     .peer = peer,
                                     .address = address,
                                     .accepted = false,
                                     .identity = {},
                                     .next_review = Time::max()});
      }
    }
    if (!token) {
      Count({ErrorCode::kUnauthenticated, ""}, address);
      return new Refusal({StatusCode::UNAUTHENTICATED, "not accepted"});
    }
    authenticator_.Authenticate(
        std::move(*token), peer,
        [weak = weak_from_this(), id](Result<std::optional<WorkerIdentity>> result) {
          if (const auto self = weak.lock()) self->OnAuthenticated(id, std::move(result));
        });
    return session.get();
  }

  std::shared_ptr<Session> Find(SessionId id) const {
    MutexLock l(mu_);
    const auto it = sessions_.find(id);
    return it == sessions_.end() ? nullptr : it->second.session;
  }

  void Disconnect(const std::string& instance) {
    std::vector<std::shared_ptr<Session>> theirs;
    {
      MutexLock l(mu_);
      slots_.Release(instance);
      for (const auto& [id, stream] : sessions_) {
        if (stream.identity && stream.identity->instance == instance)
          theirs.push_back(stream.session);
      }
    }
    for (const auto& session : theirs) Revoke(*session);
  }

  void Tick() {
    const Time now = clock_.Steady();
    std::vector<std::pair<SessionId, Stream>> due;
    std::vector<std::shared_ptr<Session>> all;
    {
      MutexLock l(mu_);
      all.reserve(sessions_.size());
      for (auto& [id, stream] : sessions_) {
        all.push_back(stream.session);
        if (now < stream.next_review) continue;
        stream.next_review = now + options_.review_every;
        due.emplace_back(id, stream);
      }
    }
    for (const auto& session : all) {
      session->CheckTime(now, options_.hello_timeout, kCloseTimeout);
    }
    for (auto& [id, stream] : due) {
      authenticator_.Authenticate(
          std::move(stream.token), stream.peer,
          [weak = weak_from_this(), session = id,
           identity = *stream.identity](const Result<std::optional<WorkerIdentity>>& result) {
            if (const auto self = weak.lock()) self->OnReviewed(session, identity, result);
          });
    }
  }

  [[nodiscard]] ServerCounts counts() const {
    return {.streams = streams_,
            .unauthenticated = unauthenticated_,
            .forbidden = forbidden_,
            .foreign = foreign_,
            .superseded = superseded_,
            .undecided = undecided_,
            .closed = closed_,
            .refused = refused_,
            .turned_away = front_door_.turned_away(),
            .not_serving = not_serving_,
            .revoked = revoked_,
            .broken = broken_};
  }

 private:
  struct Stream {
    std::shared_ptr<Session> session;
    std::string token;  // for the next review
    std::string peer;
    std::string address;  // "": without limits of its own
    bool accepted = false;
    std::optional<WorkerIdentity> identity;  // once it is accepted, where there is one
    Time next_review;
  };

  // The front door's thread.
  void Take(int fd) {
    grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
    connection.fd = fd;
    acceptor_->HandleNewConnection(&connection);
  }

  // A network of strangers: what each connection may take.
  void BoundConnections(grpc::ServerBuilder& builder) const {
    const ServerOptions::Network& n = options_.network;
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, n.max_streams_per_connection);
    builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, Millis(n.handshake_timeout));
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, Millis(n.max_idle));
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, Millis(n.max_age));
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, Millis(n.max_age_grace));
    builder.AddChannelArgument(GRPC_ARG_TSI_MAX_FRAME_SIZE, kMaxTlsFrame);
  }

  Session::Callbacks CallbacksOf(SessionId id) {
    return {
        .on_message =
            [this, id](v1::WorkerMessage&& message) { handler_.OnMessage(id, std::move(message)); },
        .on_broken = [this] { broken_ += 1; },
        .on_foreign = [this] { foreign_ += 1; },
        .on_done = [this, id] { Remove(id); }};
  }

  void Count(const Error& why, const std::string& address) {
    if (why.code != ErrorCode::kUnauthenticated && why.code != ErrorCode::kPermission) {
      undecided_ += 1;
      return;
    }
    (why.code == ErrorCode::kPermission ? forbidden_ : unauthenticated_) += 1;
    if (address.empty()) return;
    MutexLock l(mu_);
    gate_.OnFailure(address, clock_.Steady());
  }

  void OnAuthenticated(SessionId id, Result<std::optional<WorkerIdentity>> result) {
    std::shared_ptr<Session> session;
    std::string address;
    bool superseded = false;
    {
      MutexLock l(mu_);
      const auto it = sessions_.find(id);
      if (it == sessions_.end()) return;
      session = it->second.session;
      address = it->second.address;
      superseded = result.ok() && *result && !slots_.Take(**result);
      it->second.accepted = result.ok() && !superseded;
      if (it->second.accepted && *result) {
        it->second.identity = **result;
        it->second.next_review = clock_.Steady() + FirstReview(id);
      } else {
        it->second.token.clear();  // nothing to review
      }
    }
    if (!result.ok()) {
      Count(result.error(), address);
      return Refuse(*session, result.error());
    }
    if (superseded) {
      superseded_ += 1;
      return session->Close({StatusCode::PERMISSION_DENIED, "not accepted"});
    }
    streams_ += 1;
    session->Accept(std::move(result).value());
  }

  static void Refuse(Session& session, const Error& why) {
    if (why.code == ErrorCode::kUnauthenticated)
      return session.Close({StatusCode::UNAUTHENTICATED, "not accepted"});
    if (why.code == ErrorCode::kPermission)
      return session.Close({StatusCode::PERMISSION_DENIED, "not accepted"});
    session.Close({StatusCode::UNAVAILABLE, "try again"});
  }

  // Those that came together are not reviewed together.
  [[nodiscard]] Duration FirstReview(SessionId id) const {
    const auto part = static_cast<std::int64_t>(id.value * 37 % 64);
    return options_.review_every - options_.review_every * part / 256;
  }

  void OnReviewed(SessionId id, const WorkerIdentity& identity,
                  const Result<std::optional<WorkerIdentity>>& result) {
    if (result.ok() && *result && **result == identity) return;
    const bool refused = result.ok() || result.error().code == ErrorCode::kUnauthenticated ||
                         result.error().code == ErrorCode::kPermission;
    std::shared_ptr<Session> session;
    {
      MutexLock l(mu_);
      const auto it = sessions_.find(id);
      if (it == sessions_.end()) return;
      session = it->second.session;
      // Without an answer the stream lives on: its leases do, too. Asked again before long.
      if (!refused) it->second.next_review = clock_.Steady() + options_.review_every / 10;
    }
    if (refused) Revoke(*session);
  }

  void Revoke(Session& session) {
    revoked_ += 1;
    session.Close({StatusCode::UNAUTHENTICATED, "not accepted any more"});
  }

  std::vector<std::shared_ptr<Session>> Sessions() const {
    MutexLock l(mu_);
    std::vector<std::shared_ptr<Session>> all;
    all.reserve(sessions_.size());
    for (const auto& [id, stream] : sessions_) all.push_back(stream.session);
    return all;
  }

  void Remove(SessionId id) {
    std::shared_ptr<Session> last;  // destroyed after the lock is released
    bool accepted = false;
    {
      MutexLock l(mu_);
      const auto it = sessions_.find(id);
      if (it == sessions_.end()) return;
      if (!it->second.address.empty()) gate_.Leave(it->second.address);
      accepted = it->second.accepted;
      last = std::move(it->second.session);
      sessions_.erase(it);
    }
    if (accepted) handler_.OnGone(id);
  }

  const ServerOptions options_;
  const Clock& clock_;
  SessionHandler& handler_;
  SharedToken shared_token_;
  Authenticator& authenticator_;
  std::shared_ptr<grpc::ServerCredentials> credentials_;  // outlives the server
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor_;
  std::unique_ptr<grpc::Server> server_;
  FrontDoor front_door_;  // before the server it ends
  std::string address_;

  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> next_id_{1};
  std::atomic<std::uint64_t> streams_{0}, unauthenticated_{0}, forbidden_{0}, foreign_{0},
      superseded_{0}, undecided_{0}, closed_{0}, refused_{0}, not_serving_{0}, revoked_{0},
      broken_{0};

  mutable Mutex mu_;
  std::map<SessionId, Stream> sessions_ GUARDED_BY(mu_);
  PeerGate gate_ GUARDED_BY(mu_);
  WorkerSlots slots_ GUARDED_BY(mu_);
};

Server::Server(const ServerOptions& options, const Clock& clock, SessionHandler& handler)
    : impl_(std::make_shared<Impl>(options, clock, handler)) {}

Server::~Server() { Shutdown(); }

Status Server::Start() { return impl_->Start(); }
std::string Server::address() const { return impl_->address(); }
void Server::Shutdown() { impl_->Shutdown(); }
void Server::Disconnect(const std::string& instance) { impl_->Disconnect(instance); }
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
