#include "operator/kube/client/tls_trust.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <chrono>
#include <ctime>
#include <memory>
#include <vector>

#include "base/openssl.h"

namespace backfill::kube {
namespace {

constexpr int kMaxCertificates = 1000;

BioPtr Reader(std::string_view pem) {
  return BioPtr(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

// Without it OpenSSL asks for a password at the terminal.
int NoPassword(char*, int, int, void*) { return -1; }

// All of a bundle; empty: something in it does not read, or there is nothing.
std::vector<X509Ptr> ReadCertificates(std::string_view pem) {
  std::vector<X509Ptr> out;
  const BioPtr bio = Reader(pem);
  while (out.size() < kMaxCertificates) {
    X509Ptr one(PEM_read_bio_X509(bio.get(), nullptr, NoPassword, nullptr));
    if (one == nullptr) break;
    out.push_back(std::move(one));
  }
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (!at_end) out.clear();
  return out;
}

KeyPtr ReadKey(std::string_view pem) {
  const BioPtr bio = Reader(pem);
  KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassword, nullptr));
  ERR_clear_error();
  return key;
}

Error Unusable(std::string_view what) { return {ErrorCode::kUnauthenticated, std::string(what)}; }

int Verify(X509_STORE_CTX* chain, void* arg) {
  if (X509_verify_cert(chain) == 1) return 1;
  const auto* refused = static_cast<const std::function<void(std::string)>*>(arg);
  const int error = X509_STORE_CTX_get_error(chain);
  // cpprestsdk checks the name in a callback, which leaves no error.
  if (refused != nullptr)
    (*refused)(error == X509_V_OK || error == X509_V_ERR_UNSPECIFIED
                   ? "it is for another host name"
                   : X509_verify_cert_error_string(error));
  return 0;
}

}  // namespace

Status CheckPem(const Credentials& c) {
  if (!c.ca_pem.empty() && ReadCertificates(c.ca_pem).empty())
    return Unusable("the certificate authority has no certificate, or one that cannot be read");
  if (c.certificate_pem.empty() != c.key_pem.empty())
    return Unusable("a client certificate and its key are needed together");
  if (c.certificate_pem.empty()) return Ok{};
  const std::vector<X509Ptr> chain = ReadCertificates(c.certificate_pem);
  if (chain.empty()) return Unusable("the client certificate cannot be read");
  const KeyPtr key = ReadKey(c.key_pem);
  if (key == nullptr)
    return Unusable("the client key cannot be read (a password is not supported)");
  const bool fits = X509_check_private_key(chain.front().get(), key.get()) == 1;
  ERR_clear_error();
  if (!fits) return Unusable("the client key is not that of the client certificate");
  return Ok{};
}

std::optional<WallTime> ExpiryOf(std::string_view certificate_pem) {
  const std::vector<X509Ptr> chain = ReadCertificates(certificate_pem);
  std::tm end{};
  if (chain.empty() || ASN1_TIME_to_tm(X509_get0_notAfter(chain.front().get()), &end) != 1)
    return std::nullopt;
  return std::chrono::system_clock::from_time_t(timegm(&end));
}

void ApplyTls(SSL_CTX* context, const Credentials& c,
              const std::function<void(std::string)>* refused) {
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  // The wrapper's own function takes the callback as not const.
  SSL_CTX_set_cert_verify_callback(context, Verify,
                                   const_cast<std::function<void(std::string)>*>(refused));
  if (!c.ca_pem.empty()) {
    X509_STORE* store = X509_STORE_new();
    for (const X509Ptr& one : ReadCertificates(c.ca_pem)) X509_STORE_add_cert(store, one.get());
    SSL_CTX_set_cert_store(context, store);  // which owns it now
  }
  if (!c.certificate_pem.empty()) {
    const std::vector<X509Ptr> chain = ReadCertificates(c.certificate_pem);
    const KeyPtr key = ReadKey(c.key_pem);
    if (!chain.empty() && key != nullptr) {
      SSL_CTX_use_certificate(context, chain.front().get());
      for (std::size_t i = 1; i < chain.size(); ++i)
        SSL_CTX_add1_chain_cert(context, chain[i].get());
      SSL_CTX_use_PrivateKey(context, key.get());
    }
  }
  ERR_clear_error();
}

}  // namespace backfill::kube
