#pragma once

#include <openssl/ssl.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "tests/worker/target/accept_loop.h"
#include "tests/worker/target/certificates.h"

namespace backfill::fakes {

struct TlsServerOptions {
  int min_version = TLS1_2_VERSION;
  int max_version = 0;         // 0: the newest
  X509* clients_of = nullptr;  // clients need a certificate of this authority
};

// A TLS server on 127.0.0.1 with a thread per connection. `serve` gets each request and answers by
// Say(); false: the connection is closed, with a goodbye unless `cuts`.
class TlsServer {
 public:
  using Serve = std::function<bool(SSL* ssl, const std::string& request, int number)>;

  TlsServer(const Identity& identity, Serve serve, const TlsServerOptions& options = {});
  TlsServer(const TlsServer&) = delete;
  TlsServer& operator=(const TlsServer&) = delete;

  static bool Say(SSL* ssl, const std::string& text);
  // The same reply to every request; with ThenClose the connection ends behind it.
  static Serve Always(const std::string& reply) {
    return [reply](SSL* ssl, const std::string&, int) { return Say(ssl, reply); };
  }
  static Serve ThenClose(const std::string& reply) {
    return [reply](SSL* ssl, const std::string&, int) {
      Say(ssl, reply);
      return false;
    };
  }

  // From the next connection on.
  void Present(const Identity& identity);
  // Connections end without a goodbye, as if they had been cut.
  std::atomic<bool> cuts{false};
  // Connections are accepted, and that is all.
  std::atomic<bool> hangs{false};

  [[nodiscard]] int port() const { return loop_->port(); }
  [[nodiscard]] int accepted() const { return loop_->accepted(); }  // TCP connections
  [[nodiscard]] int handshakes() const { return handshakes_; }      // that succeeded
  [[nodiscard]] int resumed() const { return resumed_; }  // of those, with an earlier session
  [[nodiscard]] std::string server_name() const {         // of the last SNI
    MutexLock l(mu_);
    return server_name_;
  }
  [[nodiscard]] std::vector<std::string> requests() const {
    MutexLock l(mu_);
    return requests_;
  }

 private:
  void Talk(int fd);
  void Answer(SSL* ssl);

  const Serve serve_;
  const std::shared_ptr<SSL_CTX> context_;
  std::atomic<int> handshakes_{0}, resumed_{0};
  mutable Mutex mu_;
  Identity identity_ GUARDED_BY(mu_);
  std::string server_name_ GUARDED_BY(mu_);
  std::vector<std::string> requests_ GUARDED_BY(mu_);
  std::optional<AcceptLoop> loop_;  // last: its threads use the rest
};

}  // namespace backfill::fakes
