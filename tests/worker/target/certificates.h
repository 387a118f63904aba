#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <filesystem>
#include <memory>
#include <string>

namespace backfill::fakes {

// A certificate with its private key.
class Identity {
 public:
  void WriteTo(const std::filesystem::path& cert, const std::filesystem::path& key) const;
  void WriteCertificateTo(const std::filesystem::path& cert) const;
  [[nodiscard]] X509* certificate() const { return certificate_.get(); }
  [[nodiscard]] EVP_PKEY* key() const { return key_.get(); }

 private:
  friend class Authority;
  std::shared_ptr<X509> certificate_;
  std::shared_ptr<EVP_PKEY> key_;
};

// Issues certificates.
class Authority {
 public:
  explicit Authority(const std::string& name = "test authority");
  // For these names ("DNS:orders,IP:127.0.0.1"), from now on for so many days; may be negative.
  // `user`: whose it is, for servers that ask (CN).
  [[nodiscard]] Identity Issue(const std::string& names, int days = 1,
                               const std::string& user = "") const;
  // Which to trust.
  void WriteTo(const std::filesystem::path& file) const { self_.WriteCertificateTo(file); }
  [[nodiscard]] X509* certificate() const { return self_.certificate(); }

 private:
  Identity self_;
};

}  // namespace backfill::fakes
