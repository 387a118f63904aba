#include "worker/target/tls_stream.h"

#include <openssl/err.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace backfill::worker {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

// Alerts about the client's certificate (RFC 8446, section 6.2).
bool RefusesCertificate(unsigned long error) {
  static constexpr std::array kAlerts = {SSL_AD_BAD_CERTIFICATE,     SSL_AD_UNSUPPORTED_CERTIFICATE,
                                         SSL_AD_CERTIFICATE_REVOKED, SSL_AD_CERTIFICATE_EXPIRED,
                                         SSL_AD_CERTIFICATE_UNKNOWN, SSL_AD_UNKNOWN_CA,
                                         SSL_AD_ACCESS_DENIED,       SSL_AD_CERTIFICATE_REQUIRED};
  if (ERR_GET_LIB(error) != ERR_LIB_SSL) return false;
  const int alert = ERR_GET_REASON(error) - SSL_AD_REASON_OFFSET;
  return std::ranges::find(kAlerts, alert) != kAlerts.end();
}

}  // namespace

void TlsStream::Open() {
  refused_ = false;
  why_.clear();
  ssl_ = client_.NewConnection(socket_.native_handle());
}

void TlsStream::Handshake(error_code& ec) {
  ec = {};
  if (!ssl_) {
    why_ = "TLS with " + client_.peer() + " cannot be set up";
    ec = asio::error::no_memory;
    return;
  }
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1) return;
  ec = Failure(result);
  if (ec == asio::error::would_block) return;
  client_.ForgetSessions();  // in case one of them is to blame
  const long verified = SSL_get_verify_result(ssl_.get());
  if (verified != X509_V_OK) {
    why_ = "the certificate of " + client_.peer() +
           " is not trusted: " + X509_verify_cert_error_string(verified);
  } else if (ec == asio::error::connection_aborted || ec == asio::error::eof) {
    why_ = "TLS with " + client_.peer() + ": the server closed the connection";
  }
}

template <typename Call>
std::size_t TlsStream::Transfer(const Call& call, error_code& ec) {
  ec = {};
  if (!ssl_) {
    ec = asio::error::not_connected;
    return 0;
  }
  std::size_t n = 0;
  ERR_clear_error();
  const int result = call(ssl_.get(), &n);
  if (result == 1) return n;
  ec = Failure(result);
  return 0;
}

std::size_t TlsStream::write_some(asio::const_buffer data, error_code& ec) {
  return Transfer(
      [&](SSL* ssl, std::size_t* n) { return SSL_write_ex(ssl, data.data(), data.size(), n); }, ec);
}

std::size_t TlsStream::read_some(asio::mutable_buffer space, error_code& ec) {
  return Transfer(
      [&](SSL* ssl, std::size_t* n) { return SSL_read_ex(ssl, space.data(), space.size(), n); },
      ec);
}

bool TlsStream::Silent() {
  if (!ssl_) return false;
  char byte = 0;
  std::size_t n = 0;
  ERR_clear_error();
  const int result = SSL_peek_ex(ssl_.get(), &byte, 1, &n);
  return result != 1 && Failure(result) == asio::error::would_block;
}

void TlsStream::Goodbye() {
  if (!ssl_ || SSL_in_init(ssl_.get()) == 1) return;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
}

void TlsStream::Close() {
  if (!ssl_) return;
  // Else OpenSSL would take a connection that ends in the middle for the fault of its session.
  SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  ssl_.reset();
}

boost::system::error_code TlsStream::Failure(int result) {
  const int system_error = errno;
  const int kind = SSL_get_error(ssl_.get(), result);
  if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE) {
    wants_ = kind == SSL_ERROR_WANT_READ ? TcpSocket::wait_read : TcpSocket::wait_write;
    return asio::error::would_block;
  }
  if (kind == SSL_ERROR_ZERO_RETURN) return asio::error::eof;
  const unsigned long error = ERR_peek_error();
  if (kind == SSL_ERROR_SYSCALL && error == 0) {
    const error_code ec(system_error, boost::system::system_category());
    if (system_error == 0) return asio::error::connection_aborted;
    why_ = "TLS with " + client_.peer() + ": " + ec.message();
    return ec;
  }
  if (ERR_GET_REASON(error) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
    return asio::error::connection_aborted;
  refused_ = refused_ || RefusesCertificate(error);
  const char* reason = ERR_reason_error_string(error);
  why_ = "TLS with " + client_.peer() + ": " + (reason == nullptr ? "protocol error" : reason);
  return error_code(EPROTO, boost::system::system_category());
}

}  // namespace backfill::worker
