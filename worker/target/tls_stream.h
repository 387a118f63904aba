#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <string>
#include <utility>

#include "worker/target/tcp.h"
#include "worker/target/tls_client.h"

namespace backfill::worker {

// TLS over the socket of a connection, which is connected and does not block. Only what is asked
// for is done, and only now: it holds nothing back that could still be written later. One thread.
// Client and socket outlive it; so do handlers that it has been given (as with a socket).
class TlsStream {
 public:
  using executor_type = TcpSocket::executor_type;
  using error_code = boost::system::error_code;

  TlsStream(TcpSocket& socket, TlsClient& client) : socket_(socket), client_(client) {}
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  executor_type get_executor() { return socket_.get_executor(); }

  // Begins a new connection over the socket.
  void Open();
  // No error: done. would_block: wait for what wants() says and call it again. Else see why().
  void Handshake(error_code& ec);
  // As those of a socket; would_block: see wants(). eof means that the server said that it ends;
  // a connection that just ends is asio::error::connection_aborted: it may have been cut.
  std::size_t write_some(boost::asio::const_buffer data, error_code& ec);
  std::size_t read_some(boost::asio::mutable_buffer space, error_code& ec);
  // Nothing has come that is not yet read, beside what concerns the session only.
  [[nodiscard]] bool Silent();
  // Says goodbye, if that can be done at once: the connection was in order.
  void Goodbye();
  void Close();

  [[nodiscard]] TcpSocket::wait_type wants() const { return wants_; }
  // In words, of the last error.
  [[nodiscard]] const std::string& why() const { return why_; }
  // The server has refused our certificate, or that there is none. In TLS 1.3 that comes only after
  // the handshake, and means that it has read nothing of what was written.
  [[nodiscard]] bool refused() const { return refused_; }

  template <typename Buffers, typename Handler>
  void async_read_some(const Buffers& buffers, Handler&& handler) {
    const boost::asio::mutable_buffer space = *boost::asio::buffer_sequence_begin(buffers);
    if (!HasPending()) {
      wants_ = TcpSocket::wait_read;
      return ReadWhenReady(space, std::forward<Handler>(handler));
    }
    error_code ec;
    const std::size_t n = read_some(space, ec);
    if (ec == boost::asio::error::would_block)
      return ReadWhenReady(space, std::forward<Handler>(handler));
    boost::asio::post(socket_.get_executor(),
                      [ec, n, h = std::forward<Handler>(handler)]() mutable { h(ec, n); });
  }

 private:
  template <typename Handler>
  void ReadWhenReady(boost::asio::mutable_buffer space, Handler&& handler) {
    socket_.async_wait(wants_,
                       [this, space, h = std::forward<Handler>(handler)](error_code ec) mutable {
                         const std::size_t n = ec ? 0 : read_some(space, ec);
                         if (ec == boost::asio::error::would_block)
                           return ReadWhenReady(space, std::move(h));
                         h(ec, n);
                       });
  }
  [[nodiscard]] bool HasPending() const { return ssl_ && SSL_has_pending(ssl_.get()) == 1; }
  error_code Failure(int result);
  // Reads or writes: what `call` does with the connection and a count of bytes.
  template <typename Call>
  std::size_t Transfer(const Call& call, error_code& ec);

  TcpSocket& socket_;
  TlsClient& client_;
  SslPtr ssl_;
  TcpSocket::wait_type wants_ = TcpSocket::wait_read;
  bool refused_ = false;
  std::string why_;
};

}  // namespace backfill::worker
