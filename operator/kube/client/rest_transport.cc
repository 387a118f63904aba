// The only file that knows cpprestsdk, whose headers take as long to compile as all the rest.
#include "operator/kube/client/rest_transport.h"

#include <cpprest/http_client.h>
#include <fmt/format.h>
#include <pplx/threadpool.h>

#include <algorithm>
#include <utility>
#include <vector>
// After <utility>, which it forgets.
#include <boost/asio/ip/tcp.hpp>

#include "base/mutex.h"
#include "operator/kube/client/credential_cache.h"
#include "operator/kube/client/http_headers.h"
#include "operator/kube/client/line_splitter.h"
#include "operator/kube/client/rest_exchange.h"
#include "operator/kube/client/server_url.h"
#include "operator/kube/client/slot_pool.h"
#include "operator/kube/client/socket_watch.h"
#include "operator/kube/client/tls_trust.h"

namespace backfill::kube {
namespace {

namespace http = web::http;
using http::client::http_client;
using http::client::http_client_config;
using tcp_socket = boost::asio::ip::tcp::socket;

// cpprestsdk's own timeout is one for each step. It ends what cannot be cancelled: a proxy that
// does not answer.
constexpr std::chrono::seconds kRequestStep{120};
constexpr std::chrono::seconds kStreamStep{900};
// How often a connection is looked at from the side.
constexpr Duration kLook = std::chrono::milliseconds(100);
// Of what is received and not handed over: TLS, the head, the kernel's buffer.
constexpr std::uint64_t kMaxWithheld = 16 << 20;
// How long the library takes to put a connection back: microseconds, unless all its threads are
// busy.
constexpr Duration kRelease = std::chrono::milliseconds(250);
// A connection idle for longer may be forgotten by what is between us and the server.
constexpr Duration kMaxIdle = std::chrono::seconds(50);

// Ends an attempt of the library to send a request once more.
struct WouldRepeat : std::runtime_error {
  WouldRepeat() : std::runtime_error("the connection was lost after the request was sent") {}
};
struct NotWanted : std::runtime_error {
  NotWanted() : std::runtime_error("the response is not wanted any more") {}
};

// Takes the body from the library as it comes. Reading, seeking and the rest have no meaning here.
class BodySink final : public concurrency::streams::details::streambuf_state_manager<std::uint8_t> {
 public:
  explicit BodySink(std::shared_ptr<RestExchange> exchange)
      : streambuf_state_manager(std::ios_base::out), exchange_(std::move(exchange)) {}

  // The library closes with an exception when _putn fails, on one of its threads, and waits there
  // for what its own close() leaves to another of them. They may all wait so, and at the end of the
  // process there is no other.
  using streambuf_state_manager::close;
  pplx::task<void> close(std::ios_base::openmode mode) override {
    if ((mode & std::ios_base::out) != 0) m_stream_can_write = false;
    return pplx::task_from_result();
  }

  bool can_seek() const override { return false; }
  bool has_size() const override { return false; }
  size_t buffer_size(std::ios_base::openmode) const override { return 0; }
  void set_buffer_size(size_t, std::ios_base::openmode) override {}
  size_t in_avail() const override { return 0; }
  pos_type getpos(std::ios_base::openmode) const override { return Nowhere(); }
  pos_type seekpos(pos_type, std::ios_base::openmode) override { return Nowhere(); }
  pos_type seekoff(off_type, std::ios_base::seekdir, std::ios_base::openmode) override {
    return Nowhere();
  }
  bool acquire(std::uint8_t*& data, size_t& size) override {
    data = nullptr;
    size = 0;
    return false;
  }
  void release(std::uint8_t*, size_t) override {}

 protected:
  pplx::task<size_t> _putn(const std::uint8_t* data, size_t size) override {
    const pplx::task_completion_event<size_t> room;
    if (!exchange_->OnBytes(data, size, [room, size] { room.set(size); }))
      return pplx::task_from_exception<size_t>(NotWanted());
    return pplx::task<size_t>(room);
  }
  pplx::task<int_type> _putc(std::uint8_t byte) override {
    return _putn(&byte, 1).then([byte](size_t) { return static_cast<int_type>(byte); });
  }
  pplx::task<bool> _sync() override { return pplx::task_from_result(true); }
  std::uint8_t* _alloc(size_t) override { return nullptr; }
  void _commit(size_t) override {}
  pplx::task<int_type> _bumpc() override { return End(); }
  int_type _sbumpc() override { return traits::eof(); }
  pplx::task<int_type> _getc() override { return End(); }
  int_type _sgetc() override { return traits::eof(); }
  pplx::task<int_type> _nextc() override { return End(); }
  pplx::task<int_type> _ungetc() override { return End(); }
  pplx::task<size_t> _getn(std::uint8_t*, size_t) override {
    return pplx::task_from_result<size_t>(0);
  }
  size_t _scopy(std::uint8_t*, size_t) override { return 0; }

 private:
  static pos_type Nowhere() { return static_cast<pos_type>(traits::eof()); }
  static pplx::task<int_type> End() { return pplx::task_from_result<int_type>(traits::eof()); }

  const std::shared_ptr<RestExchange> exchange_;
};

// What the library tells about its one connection, on its own threads.
class ConnectionHooks {
 public:
  ConnectionHooks(const ServerUrl& url, const RestOptions& options,
                  CredentialCache::Snapshot credentials)
      : tls_(url.tls),
        verified_(!options.skip_tls_verify),
        // Where there is one address, the socket it begins with is the one that it ends with.
        one_address_(IsIpv4(url.host)),
        visible_(options.proxy_url.empty() && (url.tls || one_address_)),
        credentials_(std::move(credentials)) {}

  void Begin(std::shared_ptr<RestExchange> exchange, int attempts) {
    MutexLock l(mu_);
    exchange_ = std::move(exchange);
    attempts_left_ = attempts;
    refused_.clear();
  }
  void OnNewConnection(boost::asio::ssl::context& context) {
    ApplyTls(context.native_handle(), *credentials_, verified_ ? &on_refused_ : nullptr);
    MutexLock l(mu_);
    ++connections_;
  }
  // Before each attempt: the library repeats a request when a connection that was used before dies.
  void OnAttempt(void* handle) {
    MutexLock l(mu_);
    if (attempts_left_-- <= 0) throw WouldRepeat();
    handle_ = handle;
    connections_before_ = connections_;
  }
  // The request has been written, and the library still holds the connection.
  void OnSent() {
    MutexLock l(mu_);
    const bool replaced = !one_address_ && connections_ != connections_before_;
    if (exchange_ == nullptr || handle_ == nullptr || !visible_ || replaced) return;
    auto& socket = tls_ ? static_cast<boost::asio::ssl::stream<tcp_socket&>*>(handle_)->next_layer()
                        : *static_cast<tcp_socket*>(handle_);
    exchange_->OnSent(SocketWatch::Of(socket.native_handle()));
  }
  [[nodiscard]] std::string refused() {
    MutexLock l(mu_);
    return refused_;
  }
  [[nodiscard]] const Credentials& credentials() const { return *credentials_; }

 private:
  const bool tls_;
  const bool verified_;
  const bool one_address_;
  const bool visible_;
  const CredentialCache::Snapshot credentials_;
  const std::function<void(std::string)> on_refused_ = [this](std::string reason) {
    MutexLock l(mu_);
    refused_ = std::move(reason);
  };
  Mutex mu_;
  std::shared_ptr<RestExchange> exchange_ GUARDED_BY(mu_);
  int attempts_left_ GUARDED_BY(mu_) = 0;
  int connections_ GUARDED_BY(mu_) = 0;
  int connections_before_ GUARDED_BY(mu_) = 0;
  void* handle_ GUARDED_BY(mu_) = nullptr;
  std::string refused_ GUARDED_BY(mu_);
};

// A client of the library used by one request at a time, so it has one connection.
struct Link {
  std::shared_ptr<ConnectionHooks> hooks;
  std::shared_ptr<http_client> client;
  std::shared_ptr<RestExchange> last;  // by whose connection the next request may go
  Time idle_since;
};

// Part of a request, which the library destroys after it has put the connection back.
class ReleaseNotice {
 public:
  explicit ReleaseNotice(std::shared_ptr<RestExchange> exchange) : exchange_(std::move(exchange)) {}
  ~ReleaseNotice() { exchange_->OnReleased(); }
  ReleaseNotice(const ReleaseNotice&) = delete;
  ReleaseNotice& operator=(const ReleaseNotice&) = delete;

 private:
  const std::shared_ptr<RestExchange> exchange_;
};

Error Translate(std::exception_ptr problem, const std::string& refused) {
  if (!refused.empty())
    return {ErrorCode::kUnauthenticated, fmt::format("the server's certificate: {}", refused)};
  std::string what;
  try {
    std::rethrow_exception(problem);
  } catch (const http::http_exception& e) {
    // The library gives numbers of others as if they were errno's. The lowest are always of others:
    // the end of a stream, one of TLS that was cut short, a name that is not found.
    const std::error_code& code = e.error_code();
    what = code && code.value() > 4 && code.value() < 200
               ? fmt::format("{} ({})", e.what(), std::generic_category().message(code.value()))
               : std::string(e.what());
  } catch (const std::exception& e) {
    what = e.what();
  }
  return {ErrorCode::kUnavailable, what};
}

const std::string& HeaderOf(const http::http_response& response, const std::string& name) {
  static const std::string kNone;
  const auto it = response.headers().find(name);
  return it == response.headers().end() ? kNone : it->second;
}

ResponseHead HeadOf(const http::http_response& response) {
  return {.status = response.status_code(),
          .content_length = HeaderOf(response, "Content-Length"),
          .retry_after = HeaderOf(response, "Retry-After"),
          .warning = HeaderOf(response, "Warning")};
}

// Nothing: it is well. The library takes "abc" for 0 and "-5" for 2^64 - 5.
std::optional<Error> CheckHead(const ResponseHead& head, std::size_t max_body_bytes) {
  if (head.status < 200 || head.status > 599)
    return Error{ErrorCode::kUnavailable, fmt::format("a response with status {}", head.status)};
  const std::string& length = head.content_length;
  if (length.empty()) return std::nullopt;
  if (length.size() > 18 ||
      !std::all_of(length.begin(), length.end(), [](char c) { return c >= '0' && c <= '9'; }))
    return Error{ErrorCode::kUnavailable, "a response with a Content-Length that is no number"};
  if (std::stoull(length) > max_body_bytes)
    return Error{ErrorCode::kInvalid, fmt::format("a response of {} bytes, of which {} are allowed",
                                                  length, max_body_bytes)};
  return std::nullopt;
}

// Before the library's threads, so that at the end of the process it ends after them.
void StartOpenSsl() { OPENSSL_init_ssl(0, nullptr); }

bool IsSendable(std::string_view text, bool blanks) {
  return std::all_of(text.begin(), text.end(),
                     [&](char c) { return (c > 0x20 && c < 0x7f) || (blanks && c == ' '); });
}

}  // namespace

class RestTransport::Impl {
 public:
  Impl(RestOptions options, ServerUrl url, std::shared_ptr<CredentialCache> credentials,
       const Clock& clock)
      : options_(std::move(options)),
        url_(std::move(url)),
        clock_(clock),
        credentials_(std::move(credentials)),
        requests_(options_.max_requests, options_.max_waiting),
        streams_(options_.max_streams, 0),
        request_links_(options_.max_requests),
        stream_links_(options_.max_streams) {}

  using OnLine = std::function<bool(std::string_view)>;
  struct Limits {
    Time deadline;
    std::optional<Duration> idle;
    std::size_t max_line_bytes = 0;
  };

  Result<HttpResponse> Run(const HttpRequest& request, const Limits& limits,
                           const std::stop_token& stop, const OnLine* on_line) {
    if (!request.target.starts_with('/') || request.target.starts_with("//") ||
        !IsSendable(request.target, false) || !IsSendable(request.content_type, true) ||
        !IsSendable(request.accept, true) ||
        (request.content_type.empty() && !request.body.empty()))
      return Error{ErrorCode::kInvalid, "a request that cannot be sent as it is"};
    if (stop.stop_requested()) return Error{ErrorCode::kAborted, "stopped before it was sent"};
    if (clock_.Steady() >= limits.deadline)
      return Error{ErrorCode::kDeadline, "too late before it was sent"};
    SlotPool& pool = on_line != nullptr ? streams_ : requests_;
    const SlotPool::Slot slot = TRY(pool.Take(limits.deadline, stop));
    Link& link = (on_line != nullptr ? stream_links_ : request_links_)[slot.index()];

    CredentialCache::Snapshot who = TRY(credentials_->Get(limits.deadline, stop));
    Result<HttpResponse> first = Attempt(link, who, request, limits, stop, on_line);
    // Refused, by either side: so it was not done, and may be sent again if there is another token
    // or another authority by now (R35).
    const bool refused =
        first.ok() ? first->status == 401 : first.error().code == ErrorCode::kUnauthenticated;
    if (!refused) return first;
    const auto other = credentials_->Replace(who, limits.deadline, stop);
    if (!other.ok() || ((*other)->token == who->token && (*other)->SameTls(*who)))
      return Explained(std::move(first), *who);
    return Explained(Attempt(link, *other, request, limits, stop, on_line), **other);
  }

 private:
  // A server says no more of a certificate that has expired than that it does not know who asks.
  [[nodiscard]] Result<HttpResponse> Explained(Result<HttpResponse> answer,
                                               const Credentials& who) const {
    if (!answer.ok() || answer->status != 401 || !who.token.empty()) return answer;
    const auto expiry = ExpiryOf(who.certificate_pem);
    if (!expiry || *expiry > clock_.Wall()) return answer;
    return Error{ErrorCode::kUnauthenticated,
                 fmt::format("the client certificate expired at {}", FormatWallTime(*expiry))};
  }

  void Connect(Link& link, const CredentialCache::Snapshot& who, const Limits& limits) {
    if (link.last != nullptr && link.hooks->credentials().SameTls(*who) &&
        clock_.Steady() - link.idle_since < kMaxIdle) {
      // Without a way to look at it a connection is not used again.
      const auto socket =
          link.last->TakeSocket(std::min(limits.deadline, clock_.Steady() + kRelease));
      if (socket != nullptr && socket->IsQuiet()) return;
    }
    Drop(link);
    link.hooks = std::make_shared<ConnectionHooks>(url_, options_, who);
    http_client_config config;
    config.set_timeout(limits.idle ? kStreamStep : kRequestStep);
    config.set_max_redirects(0);
    config.set_validate_certificates(!options_.skip_tls_verify);
    config.set_proxy(options_.proxy_url.empty() ? web::web_proxy(web::web_proxy::disabled)
                                                : web::web_proxy(options_.proxy_url));
    const auto hooks = link.hooks;
    config.set_ssl_context_callback(
        [hooks](boost::asio::ssl::context& context) { hooks->OnNewConnection(context); });
    config.set_nativehandle_options([hooks](void* handle) { hooks->OnAttempt(handle); });
    link.client = std::make_shared<http_client>(url_.Origin(), config);
  }

  static void Drop(Link& link) { link = Link{}; }

  Result<http::http_request> Build(const HttpRequest& request, const Credentials& who) const {
    if (!who.token.empty() && !url_.tls && !IsLoopback(url_.host))
      return Error{ErrorCode::kUnauthenticated, "a token is not sent without TLS"};
    http::http_request out(std::string(ToString(request.method)));
    out.set_request_uri(web::uri(url_.prefix + request.target));
    // In case of a name of its own the library checks the certificate for this.
    if (!options_.tls_server_name.empty()) out.headers().add("Host", options_.tls_server_name);
    out.headers().add("User-Agent", options_.user_agent);
    out.headers().add("Accept", request.accept.empty() ? "application/json" : request.accept);
    if (!who.token.empty()) out.headers().add("Authorization", who.scheme + " " + who.token);
    if (!request.body.empty()) out.set_body(request.body, request.content_type);
    return out;
  }

  // Begins; what comes goes to the exchange.
  Status Start(Link& link, const CredentialCache::Snapshot& who, const HttpRequest& request,
               const std::shared_ptr<RestExchange>& exchange,
               const pplx::cancellation_token& cancelled) const {
    const auto hooks = link.hooks;
    try {
      http::http_request out = TRY(Build(request, *who));
      out.set_response_stream(concurrency::streams::ostream(
          concurrency::streams::streambuf<std::uint8_t>(std::make_shared<BodySink>(exchange))));
      const auto notice = std::make_shared<ReleaseNotice>(exchange);
      out.set_progress_handler(
          [hooks, notice](http::message_direction::direction direction, std::uint64_t) {
            if (direction == http::message_direction::upload) hooks->OnSent();
          });
      // A GET may be repeated by the library once, since nothing has come by then.
      hooks->Begin(exchange, request.method == HttpMethod::kGet ? 2 : 1);
      const auto client = link.client;  // lives until its last task has
      client->request(out, cancelled)
          .then([exchange](const http::http_response& response) {
            exchange->OnHead(HeadOf(response));
            return response.content_ready();
          })
          .then([exchange, hooks, client](const pplx::task<http::http_response>& task) {
            std::optional<Error> error;
            try {
              task.get();
            } catch (...) {
              error = Translate(std::current_exception(), hooks->refused());
            }
            hooks->Begin(nullptr, 0);
            exchange->OnDone(std::move(error));
          });
    } catch (const std::exception& e) {
      return Error{ErrorCode::kInvalid, fmt::format("a request that cannot be sent: {}", e.what())};
    }
    return Ok{};
  }

  Result<HttpResponse> Attempt(Link& link, const CredentialCache::Snapshot& who,
                               const HttpRequest& request, const Limits& limits,
                               const std::stop_token& stop, const OnLine* on_line) {
    // A chunk of a stream may have several lines.
    const std::size_t max_piece = std::max(request.max_response_bytes, limits.max_line_bytes);
    const auto exchange = std::make_shared<RestExchange>(max_piece);
    pplx::cancellation_token_source cancel;
    const auto give_up = [&](ErrorCode code, std::string why) {
      cancel.cancel();
      exchange->Abandon();
      Drop(link);
      return Error{code, std::move(why)};
    };
    Connect(link, who, limits);
    if (Status started = Start(link, who, request, exchange, cancel.get_token()); !started.ok())
      return give_up(started.error().code, started.error().message);

    HttpResponse response;
    LineSplitter lines(limits.max_line_bytes);
    bool streaming = false;
    Time heard = clock_.Steady();
    while (true) {
      Time until = std::min(limits.deadline, clock_.Steady() + kLook);
      if (limits.idle) until = std::min(until, heard + *limits.idle);
      RestExchange::News news = exchange->Wait(until, stop);
      // A response that is there tells more than that nobody waits for it.
      if (stop.stop_requested() && (on_line != nullptr || !news.done))
        return give_up(ErrorCode::kAborted, "stopped");
      if (news.head) {
        heard = clock_.Steady();
        streaming = on_line != nullptr && news.head->status == 200;
        const std::size_t max_body = streaming ? SIZE_MAX : request.max_response_bytes;
        if (const auto problem = CheckHead(*news.head, max_body))
          return give_up(problem->code, problem->message);
        response.status = news.head->status;
        response.retry_after = ParseRetryAfter(news.head->retry_after, clock_.Wall());
        response.warnings = ParseWarnings(news.head->warning);
      }
      if (streaming) {
        lines.Append(news.bytes);
        while (const auto line = lines.Next()) {
          const bool more = (*on_line)(*line);
          heard = clock_.Steady();
          if (!more) {
            give_up(ErrorCode::kAborted, "");
            return response;
          }
          if (stop.stop_requested()) return give_up(ErrorCode::kAborted, "stopped");
        }
      } else if (news.bytes.size() > request.max_response_bytes - response.body.size()) {
        news.too_much = true;
      } else if (response.body.empty()) {
        response.body = std::move(news.bytes);
      } else {
        response.body += news.bytes;
      }
      if (news.too_much || exchange->Withheld() > max_piece + kMaxWithheld)
        return give_up(ErrorCode::kInvalid,
                       fmt::format("a response of more than {} bytes", request.max_response_bytes));
      if (lines.too_long())
        return give_up(ErrorCode::kInvalid,
                       fmt::format("a line of more than {} bytes", limits.max_line_bytes));
      if (news.done && news.error) {
        Drop(link);
        return *news.error;
      }
      if (news.done) {
        link.last = exchange;
        link.idle_since = clock_.Steady();
        return response;
      }
      const Time now = clock_.Steady();
      if (now >= limits.deadline)
        return give_up(ErrorCode::kDeadline, response.status == 0
                                                 ? "no response in time"
                                                 : "the response did not end in time");
      if (limits.idle && now - heard >= *limits.idle)
        return give_up(ErrorCode::kDeadline,
                       response.status == 0 ? "no response in time" : "silent for too long");
    }
  }

  const RestOptions options_;
  const ServerUrl url_;
  const Clock& clock_;
  const std::shared_ptr<CredentialCache> credentials_;
  SlotPool requests_;
  SlotPool streams_;
  std::vector<Link> request_links_;  // each belongs to who has the slot
  std::vector<Link> stream_links_;
};

RestTransport::RestTransport(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RestTransport::~RestTransport() = default;

Result<std::unique_ptr<RestTransport>> RestTransport::Make(
    RestOptions options, std::shared_ptr<CredentialCache> credentials, const Clock& clock) {
  StartOpenSsl();
  ServerUrl url = TRY(ParseServerUrl(options.server));
  if (!options.proxy_url.empty()) {
    const Result<ServerUrl> proxy = ParseServerUrl(options.proxy_url);
    if (!proxy.ok() || proxy->tls || !proxy->prefix.empty())
      return Error{ErrorCode::kInvalid, "proxy-url: must be http://host:port"};
    options.proxy_url = proxy->Origin();
  }
  if (!IsSendable(options.tls_server_name, false) || !IsSendable(options.user_agent, true))
    return Error{ErrorCode::kInvalid, "tls-server-name, User-Agent: must be visible ASCII"};
  if (options.max_requests == 0 || options.max_streams == 0)
    return Error{ErrorCode::kInvalid, "at least one request and one stream must be allowed"};
  return std::unique_ptr<RestTransport>(new RestTransport(
      std::make_unique<Impl>(std::move(options), std::move(url), std::move(credentials), clock)));
}

Result<HttpResponse> RestTransport::Send(const HttpRequest& request, Time deadline,
                                         std::stop_token stop) {
  return impl_->Run(request, {.deadline = deadline, .idle = std::nullopt, .max_line_bytes = 0},
                    stop, nullptr);
}

Result<HttpResponse> RestTransport::Stream(const HttpRequest& request, const StreamLimits& limits,
                                           std::stop_token stop,
                                           const std::function<bool(std::string_view)>& on_line) {
  return impl_->Run(
      request,
      {.deadline = limits.deadline, .idle = limits.idle, .max_line_bytes = limits.max_line_bytes},
      stop, &on_line);
}

bool StartHttpThreads(int threads) {
  StartOpenSsl();
  try {
    crossplat::threadpool::initialize_with_threads(static_cast<std::size_t>(threads));
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace backfill::kube
