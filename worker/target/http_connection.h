#pragma once

#include <boost/beast/core/flat_static_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "worker/engine/record.h"
#include "worker/target/tcp.h"
#include "worker/target/tls_stream.h"

namespace backfill::worker {

// A complete reply. The body is valid until the call that delivers it returns.
struct HttpReply {
  unsigned status = 0;
  std::string_view body;
  std::optional<Duration> retry_after;
  Time at{};  // when it was complete
};

// A request that got no complete reply.
struct HttpLoss {
  Delivery delivery = Delivery::kNotSent;
  bool unreachable = false;
  bool timeout = false;
  bool withdrawn = false;
  // A connection that was used again ended without a byte: the server had closed it, most likely.
  bool stale = false;
  std::string message = {};
};

struct HttpConnectionOptions {
  std::size_t max_reply_bytes = 64 * 1024;
  Duration max_idle{};  // dropped after
  Duration max_age{};   // replaced after, so that new addresses get traffic; drawn per connection
  bool replies_without_body = false;  // to HEAD
  TlsClient* tls = nullptr;           // absent: without TLS. Outlives the connection
};

// One keep-alive connection, with TLS or without: connects, writes a request, reads its reply, one
// at a time, and never sends anything by itself a second time. To cancel is to close, so a late
// reply cannot count for another request.
//
// One thread: all calls and handlers run on the io_context's. The connection must outlive the
// io_context's last handler.
class HttpConnection {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    // Exactly one of these per Start() or StartNew(). The connection can take the next request from
    // then on.
    virtual void OnReply(HttpConnection& connection, const HttpReply& reply) = 0;
    virtual void OnLoss(HttpConnection& connection, const HttpLoss& loss) = 0;
    // That address did not answer.
    virtual void OnBadAddress(const Tcp::endpoint& address) = 0;
  };

  HttpConnection(boost::asio::io_context& io, Owner& owner, const HttpConnectionOptions& options)
      : socket_(io), owner_(owner), options_(options) {
    if (options_.tls != nullptr) tls_.emplace(socket_, *options_.tls);
  }
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;

  // Empty, for the caller to render the next request into. Only while not busy.
  std::string& Buffer() {
    out_.clear();
    return out_;
  }

  // An open connection that the server has not closed, as far as one can see.
  [[nodiscard]] bool Reusable();
  // Sends what is in Buffer() over the open connection. Reusable() holds.
  void Start(Time deadline);
  // The same over a new connection to one of these addresses, tried in order until one takes it.
  void StartNew(std::vector<Tcp::endpoint> addresses, Time deadline, Time now);

  // Ends what is late. Call every 20 ms or so.
  void Tick(Time now);
  // Ends the request if nothing of it has been written, soon.
  void Withdraw();
  void Close();

  [[nodiscard]] bool open() const { return state_ == State::kIdle || state_ == State::kBusy; }

  std::uint32_t slot = 0;  // the owner's: what this connection works on

 private:
  enum class State { kClosed, kConnecting, kBusy, kIdle };
  using Parser = boost::beast::http::response_parser<boost::beast::http::buffer_body>;

  void ConnectNext(Time now);
  void Handshake(const Tcp::endpoint& address);
  // Whether the attempt to connect goes on after a step of it; if not, it is dealt with.
  bool Continues(const Tcp::endpoint& address, const boost::system::error_code& ec,
                 const std::string& why);
  void OnOpen();
  void Write();
  void WriteMore();
  void ReadReply();
  void ReadMore();
  void OnRead(boost::system::error_code ec);
  void OnComplete();
  void WatchIdle();
  void Lose(HttpLoss loss);
  [[nodiscard]] HttpLoss LostReply(const boost::system::error_code& ec) const;
  void EndAsLate();
  void DiscardOnClose();
  void CloseSocket();

  TcpSocket socket_;
  std::optional<TlsStream> tls_;
  Owner& owner_;
  const HttpConnectionOptions options_;
  State state_ = State::kClosed;
  bool watching_ = false;  // an idle wait is outstanding
  bool late_ =
      false;  // closed by EndAsLate(): whatever the pending operation says, it was a timeout
  bool withdrawn_ = false;  // closed by Withdraw()
  bool reused_ = false;     // the request is not the connection's first
  bool answering_ = false;  // some of the reply has come
  std::size_t written_ = 0;
  Time deadline_{};       // of the request
  Time step_deadline_{};  // of the connection attempt
  Time idle_until_{};
  Time replace_at_{};
  std::vector<Tcp::endpoint> addresses_;
  std::size_t next_address_ = 0;
  std::string connect_error_;

  boost::beast::flat_static_buffer<8192> in_;  // bounds the head of a reply as well
  std::optional<Parser> parser_;
  int interim_replies_ = 0;
  std::string out_;
  std::string long_body_;  // of replies that do not fit in text_
  char text_[4096];
};

}  // namespace backfill::worker
