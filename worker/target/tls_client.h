#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <vector>

#include "base/file_stamp.h"
#include "base/result.h"
#include "worker/target/request_template.h"

namespace backfill::worker {

struct SslFree {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }
};
using SslPtr = std::unique_ptr<SSL, SslFree>;

// What the connections to one target share: whom to trust, who we are, and the sessions that later
// handshakes take up. The certificate must be of the target's name, or of its address where the url
// has one; TLS is 1.2 or newer.
//
// The files are read again for the first connection after they have changed. If they cannot be used
// then, the old ones serve on and the log says so: a rotation is not always one step. Not
// thread-safe. Must outlive what NewConnection() gave. The process ignores SIGPIPE.
class TlsClient {
 public:
  // kInvalid: a file cannot be read or does not hold what it should; the message names it.
  static Result<std::unique_ptr<TlsClient>> Create(const TlsSettings& settings,
                                                   const std::string& host,
                                                   const std::string& port);
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;

  // Ready for SSL_connect() over this socket. Null: out of memory.
  SslPtr NewConnection(int fd);
  void ForgetSessions() { sessions_.clear(); }

  [[nodiscard]] const std::string& peer() const { return peer_; }  // "orders:443"

 private:
  using ContextPtr = std::unique_ptr<SSL_CTX, SslFree>;
  using SessionPtr = std::unique_ptr<SSL_SESSION, SslFree>;

  TlsClient(const TlsSettings& settings, const std::string& host, const std::string& port);
  [[nodiscard]] std::vector<FileStamp> Stamps() const;
  Result<ContextPtr> Load();
  void LoadAgainIfChanged();
  SessionPtr TakeSession();
  static int OnNewSession(SSL* ssl, SSL_SESSION* session);

  const TlsSettings settings_;
  const std::string name_;  // that the certificate must have: a host name or an address
  const std::string peer_;
  ContextPtr context_;
  std::vector<FileStamp> stamps_;     // of the files when they were read last, for good or bad
  std::vector<SessionPtr> sessions_;  // the newest last
};

}  // namespace backfill::worker
