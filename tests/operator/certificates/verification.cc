#include "tests/operator/certificates/verification.h"

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/openssl.h"

namespace backfill::certificates {
namespace {

using StorePtr = std::unique_ptr<X509_STORE, OpenSslFree<X509_STORE_free>>;
using StoreContextPtr = std::unique_ptr<X509_STORE_CTX, OpenSslFree<X509_STORE_CTX_free>>;
using ContextPtr = std::unique_ptr<SSL_CTX, OpenSslFree<SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, OpenSslFree<SSL_free>>;

BioPtr Text(const std::string& pem) {
  return BioPtr(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

StorePtr StoreOf(const std::string& bundle) {
  StorePtr store(X509_STORE_new());
  const BioPtr bio = Text(bundle);
  while (true) {
    const X509Ptr one(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (one == nullptr) return store;
    X509_STORE_add_cert(store.get(), one.get());
  }
}

void Demand(X509_VERIFY_PARAM* parameters, const std::string& host, WallTime at) {
  X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_X509_STRICT);
  X509_VERIFY_PARAM_set_time(parameters, std::chrono::system_clock::to_time_t(at));
  X509_VERIFY_PARAM_set1_host(parameters, host.c_str(), host.size());
}

}  // namespace

std::string WhyNotTrusted(const std::string& certificate, const std::string& bundle,
                          const std::string& host, WallTime at) {
  const BioPtr bio = Text(certificate);
  const X509Ptr leaf(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  if (leaf == nullptr) return "no certificate";
  const StorePtr store = StoreOf(bundle);
  const StoreContextPtr context(X509_STORE_CTX_new());
  X509_STORE_CTX_init(context.get(), store.get(), leaf.get(), nullptr);
  X509_STORE_CTX_set_default(context.get(), "ssl_server");
  Demand(X509_STORE_CTX_get0_param(context.get()), host, at);
  if (X509_verify_cert(context.get()) == 1) return "";
  return X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get()));
}

std::string WhyNoHandshake(const coordinator::ServerCertificate& certificate,
                           const std::string& bundle, const std::string& host, WallTime at) {
  const ContextPtr server_context(SSL_CTX_new(TLS_server_method()));
  const BioPtr chain = Text(certificate.chain);
  const BioPtr key_text = Text(certificate.key);
  const X509Ptr leaf(PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr));
  const KeyPtr key(PEM_read_bio_PrivateKey(key_text.get(), nullptr, nullptr, nullptr));
  if (SSL_CTX_use_certificate(server_context.get(), leaf.get()) != 1 ||
      SSL_CTX_use_PrivateKey(server_context.get(), key.get()) != 1)
    return "the server cannot use its certificate";
  const ContextPtr client_context(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_min_proto_version(client_context.get(), TLS1_2_VERSION);
  SSL_CTX_set_cert_store(client_context.get(), StoreOf(bundle).release());
  SSL_CTX_set_verify(client_context.get(), SSL_VERIFY_PEER, nullptr);

  const SslPtr server(SSL_new(server_context.get()));
  const SslPtr client(SSL_new(client_context.get()));
  Demand(SSL_get0_param(client.get()), host, at);
  BIO* server_end = nullptr;
  BIO* client_end = nullptr;
  BIO_new_bio_pair(&server_end, 0, &client_end, 0);
  SSL_set_bio(server.get(), server_end, server_end);
  SSL_set_bio(client.get(), client_end, client_end);
  SSL_set_accept_state(server.get());
  SSL_set_connect_state(client.get());
  for (int i = 0; i < 10; ++i) {
    const int at_client = SSL_do_handshake(client.get());
    if (at_client != 1 && SSL_get_error(client.get(), at_client) != SSL_ERROR_WANT_READ) {
      const long verified = SSL_get_verify_result(client.get());
      return verified == X509_V_OK ? "the client has given up"
                                   : X509_verify_cert_error_string(verified);
    }
    if (SSL_do_handshake(server.get()) == 1 && at_client == 1) return "";
  }
  return "there is no end of it";
}

}  // namespace backfill::certificates
