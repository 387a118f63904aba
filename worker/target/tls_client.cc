#include "worker/target/tls_client.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <array>
#include <boost/asio/ip/address.hpp>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "base/log.h"

namespace backfill::worker {
namespace {

constexpr std::size_t kMaxSessions = 16;
constexpr std::array<unsigned char, 9> kHttp11 = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

bool IsAddress(const std::string& name) {
  boost::system::error_code ec;
  boost::asio::ip::make_address(name, ec);
  return !ec;
}

// A file that OpenSSL could not use: unreadable, or not what it should be.
Error Unusable(const char* field, const std::string& path, const char* expected) {
  errno = 0;
  const bool readable = std::ifstream(path).good();
  const int error = errno;
  ERR_clear_error();
  char text[128];
  const std::string why = readable ? std::string("holds no ") + expected
                                   : std::string(strerror_r(error, text, sizeof text));
  return {ErrorCode::kInvalid, "target.http.tls." + std::string(field) + ": " + path + ": " + why};
}

// Else OpenSSL would ask for it on the terminal.
int NoPassphrase(char*, int, int, void*) { return -1; }

}  // namespace

TlsClient::TlsClient(const TlsSettings& settings, const std::string& host, const std::string& port)
    : settings_(settings),
      name_(settings.server_name.empty() ? host : settings.server_name),
      peer_((host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + port) {}

Result<std::unique_ptr<TlsClient>> TlsClient::Create(const TlsSettings& settings,
                                                     const std::string& host,
                                                     const std::string& port) {
  std::unique_ptr<TlsClient> client(new TlsClient(settings, host, port));
  client->stamps_ = client->Stamps();
  client->context_ = TRY(client->Load());
  return client;
}

std::vector<FileStamp> TlsClient::Stamps() const {
  std::vector<FileStamp> stamps;
  for (const auto* path : {&settings_.ca_file, &settings_.cert_file, &settings_.key_file}) {
    if (!path->empty()) stamps.push_back(StampOf(*path));
  }
  return stamps;
}

Result<TlsClient::ContextPtr> TlsClient::Load() {
  ContextPtr context(SSL_CTX_new(TLS_client_method()));
  if (!context) return Error{ErrorCode::kInternal, "TLS: out of memory"};
  SSL_CTX* const ctx = context.get();
  SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
  SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(ctx, 1);  // one call of the system for a short reply, not two
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_alpn_protos(ctx, kHttp11.data(), kHttp11.size());
  SSL_CTX_set_default_passwd_cb(ctx, NoPassphrase);
  SSL_CTX_set_app_data(ctx, this);
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(ctx, OnNewSession);

  // The store of a new context is empty: a CA file is the only one that is trusted.
  if (settings_.ca_file.empty()) {
    SSL_CTX_set_default_verify_paths(ctx);
  } else if (SSL_CTX_load_verify_file(ctx, settings_.ca_file.c_str()) != 1) {
    return Unusable("caFile", settings_.ca_file, "certificate (PEM)");
  }
  if (settings_.cert_file.empty()) return context;
  if (SSL_CTX_use_certificate_chain_file(ctx, settings_.cert_file.c_str()) != 1)
    return Unusable("certFile", settings_.cert_file, "certificate (PEM)");
  if (SSL_CTX_use_PrivateKey_file(ctx, settings_.key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(ctx) != 1) {
    return Unusable("keyFile", settings_.key_file,
                    "private key (PEM, without a passphrase) of the certificate in certFile");
  }
  return context;
}

void TlsClient::LoadAgainIfChanged() {
  std::vector<FileStamp> stamps = Stamps();
  if (stamps == stamps_) return;
  stamps_ = std::move(stamps);
  auto context = Load();
  if (!context) {
    Log(LogLevel::kWarning, "changed TLS files cannot be used, the old ones serve on",
        {{"error", context.error().message}});
    return;
  }
  context_ = std::move(*context);
  sessions_.clear();  // a session stands for a certificate that was trusted then
}

SslPtr TlsClient::NewConnection(int fd) {
  LoadAgainIfChanged();
  SslPtr ssl(SSL_new(context_.get()));
  if (!ssl || SSL_set_fd(ssl.get(), fd) != 1) return nullptr;
  SSL_set_connect_state(ssl.get());
  X509_VERIFY_PARAM* const verify = SSL_get0_param(ssl.get());
  X509_VERIFY_PARAM_set_hostflags(verify, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  std::string sni = name_;
  const bool named = IsAddress(name_)
                         ? X509_VERIFY_PARAM_set1_ip_asc(verify, name_.c_str()) == 1
                         : X509_VERIFY_PARAM_set1_host(verify, name_.data(), name_.size()) == 1 &&
                               SSL_ctrl(ssl.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME,
                                        TLSEXT_NAMETYPE_host_name, sni.data()) == 1;
  if (!named) return nullptr;  // never a connection without the check
  if (const SessionPtr session = TakeSession()) SSL_set_session(ssl.get(), session.get());
  return ssl;
}

TlsClient::SessionPtr TlsClient::TakeSession() {
  // OpenSSL gives up the session of a connection that was cut.
  std::erase_if(sessions_,
                [](const SessionPtr& s) { return SSL_SESSION_is_resumable(s.get()) == 0; });
  if (sessions_.empty()) return nullptr;
  // A ticket of TLS 1.3 is meant to be used once; the last one is kept for whoever comes next.
  if (sessions_.size() == 1) {
    SSL_SESSION_up_ref(sessions_.back().get());
    return SessionPtr(sessions_.back().get());
  }
  SessionPtr session = std::move(sessions_.back());
  sessions_.pop_back();
  return session;
}

int TlsClient::OnNewSession(SSL* ssl, SSL_SESSION* session) {
  SSL_CTX* const context = SSL_get_SSL_CTX(ssl);
  auto* const client = static_cast<TlsClient*>(SSL_CTX_get_app_data(context));
  // Of a connection that was made before the files changed.
  if (context != client->context_.get()) return 0;
  if (client->sessions_.size() == kMaxSessions) client->sessions_.erase(client->sessions_.begin());
  client->sessions_.emplace_back(session);
  return 1;  // the reference is ours now
}

}  // namespace backfill::worker
