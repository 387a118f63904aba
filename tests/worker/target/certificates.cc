#include "tests/worker/target/certificates.h"

#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <cstdlib>

namespace backfill::fakes {
namespace {

void Must(bool done) {
  if (!done) std::abort();
}

// Replaces the file in one step, as a rotation does.
template <typename Write>
void Replace(const std::filesystem::path& path, const Write& write) {
  const std::string next = path.string() + ".next";
  std::FILE* file = std::fopen(next.c_str(), "w");
  Must(file != nullptr && write(file) == 1 && std::fclose(file) == 0);
  std::filesystem::rename(next, path);
}

void Extend(X509* certificate, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
  Must(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

void NameSubject(X509* certificate, const std::string& name) {
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(name.c_str()),  // NOLINT
                             -1, -1, 0);
}

constexpr long kDay = 86400;

}  // namespace

void Identity::WriteCertificateTo(const std::filesystem::path& cert) const {
  Replace(cert, [this](std::FILE* f) { return PEM_write_X509(f, certificate()); });
}

void Identity::WriteTo(const std::filesystem::path& cert,
                       const std::filesystem::path& key_path) const {
  WriteCertificateTo(cert);
  Replace(key_path, [this](std::FILE* f) {
    return PEM_write_PrivateKey(f, key(), nullptr, nullptr, 0, nullptr, nullptr);
  });
}

Authority::Authority(const std::string& name) {
  self_.key_ = {EVP_EC_gen("P-256"), EVP_PKEY_free};
  self_.certificate_ = {X509_new(), X509_free};
  X509* const x = self_.certificate();
  X509_set_version(x, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
  X509_gmtime_adj(X509_getm_notBefore(x), -10 * kDay);
  X509_gmtime_adj(X509_getm_notAfter(x), 10 * kDay);
  X509_set_pubkey(x, self_.key());
  NameSubject(x, name);
  X509_set_issuer_name(x, X509_get_subject_name(x));
  Extend(x, x, NID_basic_constraints, "critical,CA:TRUE");
  Extend(x, x, NID_subject_key_identifier, "hash");
  Must(X509_sign(x, self_.key(), EVP_sha256()) > 0);
}

Identity Authority::Issue(const std::string& names, int days, const std::string& user) const {
  Identity issued;
  issued.key_ = {EVP_EC_gen("P-256"), EVP_PKEY_free};
  issued.certificate_ = {X509_new(), X509_free};
  X509* const x = issued.certificate();
  X509_set_version(x, X509_VERSION_3);
  std::uint32_t serial = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial);  // NOLINT
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), serial);
  X509_gmtime_adj(X509_getm_notBefore(x), -5 * kDay);
  X509_gmtime_adj(X509_getm_notAfter(x), days * kDay);
  X509_set_pubkey(x, issued.key());
  if (!user.empty()) NameSubject(x, user);
  X509_set_issuer_name(x, X509_get_subject_name(certificate()));
  Extend(x, certificate(), NID_subject_alt_name, names);
  Extend(x, certificate(), NID_authority_key_identifier, "keyid");
  Must(X509_sign(x, self_.key(), EVP_sha256()) > 0);
  return issued;
}

}  // namespace backfill::fakes
