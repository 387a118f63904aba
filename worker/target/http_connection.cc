#include "worker/target/http_connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/read.hpp>
#include <charconv>
#include <chrono>
#include <ctime>

namespace backfill::worker {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;
using namespace std::chrono_literals;

constexpr int kMaxInterimReplies = 16;
constexpr std::size_t kMaxPiece = std::size_t{64} * 1024;
constexpr Duration kConnectTry = 1s;  // per address, while others are left

std::string_view View(boost::beast::string_view s) { return {s.data(), s.size()}; }

std::optional<std::uint64_t> Number(std::string_view s) {
  std::uint64_t n = 0;
  const auto [end, ec] = std::from_chars(s.data(), s.data() + s.size(), n);
  if (ec == std::errc::result_out_of_range) return UINT64_MAX;
  if (ec != std::errc() || end != s.data() + s.size()) return std::nullopt;
  return n;
}

// Seconds or an HTTP date; whoever obeys it caps it.
std::optional<Duration> RetryAfter(std::string_view value) {
  constexpr std::uint64_t kMax = 86400;
  if (const auto seconds = Number(value)) return std::chrono::seconds(std::min(*seconds, kMax));
  std::tm tm{};
  const std::string text(value);
  const char* end = strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &tm);
  if (end == nullptr || *end != '\0') return std::nullopt;
  const auto until = std::chrono::system_clock::from_time_t(timegm(&tm));
  const auto wait = until - std::chrono::system_clock::now();
  return std::clamp<Duration>(wait, 0s, std::chrono::seconds(kMax));
}

// "timeout=5, max=100"
std::optional<Duration> KeepAliveTimeout(std::string_view value) {
  const std::size_t at = value.find("timeout=");
  if (at == std::string_view::npos) return std::nullopt;
  value.remove_prefix(at + 8);
  const auto seconds = Number(value.substr(0, value.find_first_not_of("0123456789")));
  if (!seconds) return std::nullopt;
  return std::chrono::seconds(std::min<std::uint64_t>(*seconds, 3600));
}

}  // namespace

bool HttpConnection::Reusable() {
  if (state_ != State::kIdle) return false;
  if (tls_) {
    if (tls_->Silent()) return true;
    Close();
    return false;
  }
  char byte = 0;
  const ssize_t n = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return true;
  Close();  // ended by the server, or out of step
  return false;
}

void HttpConnection::Start(Time deadline) {
  state_ = State::kBusy;
  reused_ = true;
  deadline_ = deadline;
  Write();
}

void HttpConnection::StartNew(std::vector<Tcp::endpoint> addresses, Time deadline, Time now) {
  // A healthy connection that is not to be used again: nothing is under way on it, and closed the
  // usual way each would hold its port for a minute. At thousands a second they would run out.
  if (state_ == State::kIdle) DiscardOnClose();
  Close();
  state_ = State::kConnecting;
  withdrawn_ = false;
  deadline_ = deadline;
  addresses_ = std::move(addresses);
  next_address_ = 0;
  connect_error_ = "no address";
  ConnectNext(now);
}

void HttpConnection::ConnectNext(Time now) {
  if (next_address_ == addresses_.size() || now >= deadline_) {
    return Lose({.unreachable = true,
                 .timeout = now >= deadline_,
                 .message = "connecting: " + connect_error_});
  }
  const Tcp::endpoint address = addresses_[next_address_++];
  const bool last = next_address_ == addresses_.size();
  step_deadline_ = last ? deadline_ : std::min(deadline_, now + kConnectTry);
  late_ = false;
  socket_.async_connect(address, [this, address](error_code ec) {
    if (!Continues(address, ec, ec.message())) return;
    error_code ignored;
    socket_.set_option(Tcp::no_delay(true), ignored);
    socket_.non_blocking(true, ignored);  // for WriteMore()
    if (!tls_) return OnOpen();
    tls_->Open();
    Handshake(address);
  });
}

void HttpConnection::Handshake(const Tcp::endpoint& address) {
  error_code ec;
  tls_->Handshake(ec);
  if (ec == asio::error::would_block) {
    return socket_.async_wait(tls_->wants(), [this, address](error_code wait_ec) {
      if (Continues(address, wait_ec, wait_ec.message())) Handshake(address);
    });
  }
  if (Continues(address, ec, tls_->why())) OnOpen();
}

bool HttpConnection::Continues(const Tcp::endpoint& address, const error_code& ec,
                               const std::string& why) {
  if (withdrawn_) {
    Lose({.withdrawn = true, .message = "withdrawn"});
    return false;
  }
  const Time now = std::chrono::steady_clock::now();
  // A process that was stopped may wake up here long after: nothing is written past the deadline.
  if (!ec && !late_ && now < deadline_) return true;
  connect_error_ = late_ || !ec ? "no answer in time" : why;
  CloseSocket();
  owner_.OnBadAddress(address);
  ConnectNext(now);
  return false;
}

void HttpConnection::OnOpen() {
  in_.clear();
  reused_ = false;
  replace_at_ = std::chrono::steady_clock::now() + options_.max_age;
  state_ = State::kBusy;
  Write();
}

void HttpConnection::Write() {
  late_ = false;
  interim_replies_ = 0;
  answering_ = false;
  written_ = 0;
  WriteMore();
}

// Not async_write(): it would go on with a piece that it has begun, however late the process comes
// to it. Here the clock is read before every piece.
void HttpConnection::WriteMore() {
  error_code ec;
  while (written_ < out_.size() && !ec && !late_) {
    if (std::chrono::steady_clock::now() >= deadline_) {
      EndAsLate();
      break;
    }
    const auto piece = asio::buffer(asio::buffer(out_) + written_, kMaxPiece);
    written_ += tls_ ? tls_->write_some(piece, ec) : socket_.write_some(piece, ec);
  }
  if (ec == asio::error::would_block || ec == asio::error::try_again) {
    const auto ready = tls_ ? tls_->wants() : TcpSocket::wait_write;
    return socket_.async_wait(ready, [this](error_code wait_ec) {
      if (!wait_ec || late_) return WriteMore();
      Lose({.delivery = written_ == 0 ? Delivery::kNotSent : Delivery::kUnanswered,
            .message = "writing: " + wait_ec.message()});
    });
  }
  // Not at once: Boost.Asio first tries to read, and the reply cannot be there yet. After what else
  // is to be done in this turn, such as sending on other connections, it often is.
  if (!ec && !late_) return asio::post(socket_.get_executor(), [this] { ReadReply(); });
  Lose({.delivery = written_ == 0 ? Delivery::kNotSent : Delivery::kUnanswered,
        .timeout = late_,
        .stale = reused_ && !late_,
        .message = late_ ? "no answer in time" : "writing: " + ec.message()});
}

void HttpConnection::ReadReply() {
  parser_.emplace();  // in place, and a parser serves one reply only
  parser_->header_limit(8192);
  parser_->body_limit(options_.max_reply_bytes);
  if (options_.replies_without_body) parser_->skip(true);
  long_body_.clear();
  ReadMore();
}

void HttpConnection::ReadMore() {
  // A longer body fails with need_buffer; the parser's own limit misses what was read together with
  // the head (boostorg/beast#2087).
  parser_->get().body().data = text_;
  parser_->get().body().size = sizeof text_;
  const auto on_read = [this](error_code ec, std::size_t n) {
    answering_ = answering_ || n > 0 || in_.size() > 0;
    OnRead(ec);
  };
  if (tls_) {
    http::async_read(*tls_, in_, *parser_, on_read);
  } else {
    http::async_read(socket_, in_, *parser_, on_read);
  }
}

void HttpConnection::OnRead(error_code ec) {
  if (late_) return Lose(LostReply(ec));
  if (ec == http::error::need_buffer) {
    long_body_.append(text_, sizeof text_ - parser_->get().body().size);
    if (long_body_.size() > options_.max_reply_bytes)
      return Lose(LostReply(http::error::body_limit));
    return ReadMore();
  }
  if (ec) return Lose(LostReply(ec));
  if (parser_->get().result_int() / 100 == 1) {  // 100, 103: the answer is still to come
    if (++interim_replies_ > kMaxInterimReplies) return Lose(LostReply(http::error::bad_status));
    return ReadReply();
  }
  OnComplete();
}

void HttpConnection::OnComplete() {
  const auto& message = parser_->get();
  const Time now = std::chrono::steady_clock::now();
  HttpReply reply{.status = message.result_int(), .body = {}, .retry_after = {}, .at = now};
  const std::size_t n = sizeof text_ - message.body().size;
  if (long_body_.empty()) {
    reply.body = {text_, n};
  } else {
    long_body_.append(text_, n);
    reply.body = long_body_;
  }
  if (reply.status >= 300) {
    if (const auto it = message.find(http::field::retry_after); it != message.end()) {
      reply.retry_after = RetryAfter(View(it->value()));
    }
  }
  Duration max_idle = options_.max_idle;
  if (const auto it = message.find(http::field::keep_alive); it != message.end()) {
    // Half a second early: the server's close and the next request must not cross.
    if (const auto t = KeepAliveTimeout(View(it->value())))
      max_idle = std::min<Duration>(max_idle, *t - 500ms);
  }
  // Bytes left over answer no request: the connection is out of step and must not carry another
  // one.
  if (parser_->keep_alive() && in_.size() == 0 && now < replace_at_ && max_idle > 0s) {
    state_ = State::kIdle;
    idle_until_ = now + max_idle;
  } else {
    Close();
  }
  owner_.OnReply(*this, reply);
}

HttpLoss HttpConnection::LostReply(const error_code& ec) const {
  HttpLoss loss{.delivery = Delivery::kUnanswered,
                .timeout = late_,
                .stale = reused_ && !answering_ && !late_,
                .message = {}};
  if (late_) {
    loss.message = "no answer in time";
  } else if (tls_ && tls_->refused() && !reused_ && !answering_) {
    // TLS 1.3 says so after the handshake, when the request is on its way to nobody.
    loss.delivery = Delivery::kNotSent;
    loss.unreachable = true;
    loss.message = "connecting: " + tls_->why();
  } else if (ec == http::error::end_of_stream || ec == http::error::partial_message ||
             ec == asio::error::eof || (tls_ && ec == asio::error::connection_aborted)) {
    loss.message = "the server closed the connection before its reply was complete";
  } else if (ec == http::error::body_limit) {
    loss.message =
        "the reply is longer than " + std::to_string(options_.max_reply_bytes) + " bytes";
  } else if (ec == http::error::header_limit || ec == http::error::buffer_overflow) {
    loss.message = "the head of the reply is longer than 8 KiB";
  } else {
    loss.message =
        "reading the reply: " + (tls_ && !tls_->why().empty() ? tls_->why() : ec.message());
  }
  return loss;
}

void HttpConnection::Lose(HttpLoss loss) {
  Close();
  owner_.OnLoss(*this, loss);
}

void HttpConnection::WatchIdle() {
  watching_ = true;
  socket_.async_wait(TcpSocket::wait_read, [this](error_code ec) {
    watching_ = false;
    // Readable without a request: the server has closed it, or speaks out of turn. Over TLS it may
    // also be news about the session, and then the next tick watches on.
    if (!ec) (void)Reusable();
  });
}

void HttpConnection::Tick(Time now) {
  switch (state_) {
    case State::kClosed:
      break;
    case State::kConnecting:
      if (now >= step_deadline_ && !late_) EndAsLate();
      break;
    case State::kBusy:
      if (now >= deadline_ && !late_) EndAsLate();
      break;
    case State::kIdle:
      if (now >= idle_until_ || now >= replace_at_) {
        Close();
      } else if (!watching_) {
        WatchIdle();
      }
      break;
  }
}

// The pending operation ends with an error: one path for every kind of loss.
void HttpConnection::EndAsLate() {
  late_ = true;
  // Else the kernel would go on delivering what it has buffered of the request.
  DiscardOnClose();
  CloseSocket();
}

void HttpConnection::DiscardOnClose() {
  error_code ignored;
  socket_.set_option(asio::socket_base::linger(true, 0), ignored);
}

void HttpConnection::Withdraw() {
  if (state_ != State::kConnecting || late_) return;
  withdrawn_ = true;
  CloseSocket();
}

void HttpConnection::Close() {
  if (tls_ && state_ == State::kIdle) tls_->Goodbye();
  CloseSocket();
  state_ = State::kClosed;
}

void HttpConnection::CloseSocket() {
  if (tls_) tls_->Close();
  error_code ignored;
  socket_.close(ignored);
}

}  // namespace backfill::worker
