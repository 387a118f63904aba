#include "tests/worker/target/tls_server.h"

#include <signal.h>
#include <sys/socket.h>

namespace backfill::fakes {

TlsServer::TlsServer(const Identity& identity, Serve serve, const TlsServerOptions& options)
    : serve_(std::move(serve)),
      context_(SSL_CTX_new(TLS_server_method()), SSL_CTX_free),
      identity_(identity) {
  ::signal(SIGPIPE, SIG_IGN);
  SSL_CTX* const ctx = context_.get();
  // For the old versions, which a server of today offers only if it is told to.
  if (options.max_version != 0 && options.max_version < TLS1_2_VERSION)
    SSL_CTX_set_cipher_list(ctx, "DEFAULT@SECLEVEL=0");
  SSL_CTX_set_min_proto_version(ctx, options.min_version);
  SSL_CTX_set_max_proto_version(ctx, options.max_version);
  constexpr unsigned char kId[] = "test";
  SSL_CTX_set_session_id_context(ctx, kId, sizeof kId);
  if (options.clients_of != nullptr) {
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), options.clients_of);
  }
  loop_.emplace("127.0.0.1", 0, [this](int fd) { Talk(fd); });
}

bool TlsServer::Say(SSL* ssl, const std::string& text) {
  return SSL_write(ssl, text.data(), static_cast<int>(text.size())) ==
         static_cast<int>(text.size());
}

void TlsServer::Present(const Identity& identity) {
  MutexLock l(mu_);
  identity_ = identity;
}

void TlsServer::Talk(int fd) {
  if (hangs) return;  // open until the end
  const std::shared_ptr<SSL> ssl(SSL_new(context_.get()), SSL_free);
  SSL_set_fd(ssl.get(), fd);
  {
    MutexLock l(mu_);
    SSL_use_certificate(ssl.get(), identity_.certificate());
    SSL_use_PrivateKey(ssl.get(), identity_.key());
  }
  if (SSL_accept(ssl.get()) == 1) {
    ++handshakes_;
    if (SSL_session_reused(ssl.get()) == 1) ++resumed_;
    {
      MutexLock l(mu_);
      const char* name = SSL_get_servername(ssl.get(), TLSEXT_NAMETYPE_host_name);
      server_name_ = name == nullptr ? "" : name;
    }
    Answer(ssl.get());
    if (!cuts) SSL_shutdown(ssl.get());
  }
  ::shutdown(fd, SHUT_RDWR);
}

void TlsServer::Answer(SSL* ssl) {
  std::string in;
  char buffer[16 * 1024];
  while (true) {
    const int n = SSL_read(ssl, buffer, sizeof buffer);
    if (n <= 0) return;
    in.append(buffer, static_cast<std::size_t>(n));
    const auto request = TakeRequest(in);
    if (!request) continue;
    int number = 0;
    {
      MutexLock l(mu_);
      requests_.push_back(*request);
      number = static_cast<int>(requests_.size());
    }
    if (!serve_(ssl, *request, number)) return;
  }
}

}  // namespace backfill::fakes
