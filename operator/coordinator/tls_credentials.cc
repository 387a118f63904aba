#include "operator/coordinator/tls_credentials.h"

#include "base/mutex.h"  // before gRPC: Abseil defines GUARDED_BY, too

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpcpp/security/server_credentials.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <climits>
#include <string>
#include <utility>

#include "base/log.h"
#include "base/openssl.h"

namespace backfill::coordinator {
namespace {

BioPtr Reading(const std::string& text) {
  if (text.size() > INT_MAX) return nullptr;
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string Written(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);  // NOLINT: OpenSSL's macro casts
  return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

// No pass phrase is asked for: that would be at a terminal.
int NoPassword(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*data*/) { return 0; }

bool Fits(const ServerCertificate& pair) {
  const BioPtr chain = Reading(pair.chain);
  const BioPtr key_text = Reading(pair.key);
  if (!chain || !key_text) return false;
  const X509Ptr leaf(PEM_read_bio_X509(chain.get(), nullptr, NoPassword, nullptr));
  const KeyPtr key(PEM_read_bio_PrivateKey(key_text.get(), nullptr, NoPassword, nullptr));
  const bool fits = leaf && key && X509_check_private_key(leaf.get(), key.get()) == 1;
  ERR_clear_error();
  return fits;
}

// For handshakes before there is a certificate: they fail at whoever checks.
ServerCertificate NobodyTrusts() {
  const KeyPtr key(EVP_EC_gen("P-256"));
  const X509Ptr certificate(X509_new());
  const BioPtr chain(BIO_new(BIO_s_mem()));
  const BioPtr key_text(BIO_new(BIO_s_mem()));
  if (!key || !certificate || !chain || !key_text) return {};
  X509* const x = certificate.get();
  X509_set_version(x, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
  X509_gmtime_adj(X509_getm_notBefore(x), -1);  // and ended, too
  X509_gmtime_adj(X509_getm_notAfter(x), 0);
  X509_set_pubkey(x, key.get());
  if (X509_sign(x, key.get(), EVP_sha256()) <= 0 || PEM_write_bio_X509(chain.get(), x) != 1 ||
      PEM_write_bio_PrivateKey(key_text.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) !=
          1) {
    return {};
  }
  return {.chain = Written(chain.get()), .key = Written(key_text.get())};
}

grpc_ssl_server_certificate_config* ConfigOf(const ServerCertificate& pair) {
  const grpc_ssl_pem_key_cert_pair pem{.private_key = pair.key.c_str(),
                                       .cert_chain = pair.chain.c_str()};
  // Whom clients are to be certified by: gRPC 1.51 ends the process without any, also where no
  // client is asked for a certificate.
  return grpc_ssl_server_certificate_config_create(pair.chain.c_str(), &pem, 1);
}

class Credentials final : public grpc::ServerCredentials {
 public:
  explicit Credentials(const ServerCertificates& certificates)
      : certificates_(certificates),
        credentials_(grpc_ssl_server_credentials_create_with_options(
            grpc_ssl_server_credentials_create_options_using_config_fetcher(
                GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE, &Credentials::Fetch, this))) {}
  ~Credentials() override { grpc_server_credentials_release(credentials_); }

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }
  // Tokens are read where streams are taken up.
  void SetAuthMetadataProcessor(
      const std::shared_ptr<grpc::AuthMetadataProcessor>& /*processor*/) override {}

  static grpc_ssl_certificate_config_reload_status Fetch(
      void* self, grpc_ssl_server_certificate_config** config) {
    return static_cast<Credentials*>(self)->FetchNew(config);
  }

  grpc_ssl_certificate_config_reload_status FetchNew(grpc_ssl_server_certificate_config** config) {
    const auto current = certificates_.Current();
    MutexLock l(mu_);
    const bool first = std::exchange(first_, false);
    if (current == seen_ && !first) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    seen_ = current;
    if (current && Fits(*current)) {
      *config = ConfigOf(*current);
      return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
    }
    if (current) Log(LogLevel::kError, "the new certificate and its key do not fit together", {});
    if (!first) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    *config = ConfigOf(NobodyTrusts());  // without any, the server would not start
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }

  const ServerCertificates& certificates_;
  Mutex mu_;
  bool first_ GUARDED_BY(mu_) = true;
  std::shared_ptr<const ServerCertificate> seen_ GUARDED_BY(mu_);
  grpc_server_credentials* const credentials_;  // last: it may ask at once
};

}  // namespace

std::shared_ptr<grpc::ServerCredentials> TlsCredentials(const ServerCertificates& certificates) {
  return std::make_shared<Credentials>(certificates);
}

}  // namespace backfill::coordinator
