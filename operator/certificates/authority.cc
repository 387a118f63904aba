#include "operator/certificates/authority.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <optional>
#include <utility>

#include "base/openssl.h"

namespace backfill::certificates {
namespace {

constexpr std::size_t kMaxPemBytes = std::size_t{1} << 20;  // as large as a Secret may be
constexpr std::size_t kMaxDnsName = 253;
constexpr int kMaxCertificates = 100;  // in a bundle
// A certificate may end in the year 9999, a WallTime in 2262; and differences have to fit, too.
constexpr std::time_t kLastSecond = 7'258'118'400;  // 2200-01-01

// What OpenSSL says of a failure may quote what it was given.
Error Refused(std::string_view doing) {
  ERR_clear_error();
  return {ErrorCode::kInternal, fmt::format("OpenSSL cannot {}", doing)};
}

// Without it OpenSSL asks for a password at the terminal.
int NoPassword(char*, int, int, void*) { return -1; }

BioPtr Reader(std::string_view pem) {
  if (pem.size() > kMaxPemBytes) return nullptr;
  return BioPtr(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

X509Ptr ParseCertificate(std::string_view pem) {
  const BioPtr bio = Reader(pem);
  if (bio == nullptr) return nullptr;
  X509Ptr certificate(PEM_read_bio_X509(bio.get(), nullptr, NoPassword, nullptr));
  ERR_clear_error();
  return certificate;
}

KeyPtr ParseKey(std::string_view pem) {
  const BioPtr bio = Reader(pem);
  if (bio == nullptr) return nullptr;
  KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassword, nullptr));
  ERR_clear_error();
  return key;
}

std::string TextOf(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

Result<CertificateAndKey> ToPem(X509* certificate, EVP_PKEY* key) {
  CertificateAndKey out;
  const BioPtr text(BIO_new(BIO_s_mem()));
  // Secure memory is not wiped by a plain one: the key is in a Secret and in this process anyway.
  const BioPtr key_text(BIO_new(BIO_s_mem()));
  if (text == nullptr || key_text == nullptr || PEM_write_bio_X509(text.get(), certificate) != 1 ||
      PEM_write_bio_PKCS8PrivateKey(key_text.get(), key, nullptr, nullptr, 0, nullptr, nullptr) !=
          1)
    return Refused("write a certificate");
  out.certificate = TextOf(text.get());
  out.key = TextOf(key_text.get());
  return out;
}

bool SetRandomSerial(X509* certificate) {
  std::array<unsigned char, 16> bytes{};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) return false;
  bytes[0] = static_cast<unsigned char>((bytes[0] & 0x7F) | 0x40);  // positive, of one length
  const BignumPtr number(BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr));
  return number != nullptr &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool SetTime(ASN1_TIME* field, WallTime time) {
  return ASN1_TIME_set(field, std::chrono::system_clock::to_time_t(time)) != nullptr;
}

std::optional<WallTime> TimeOf(const ASN1_TIME* field) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(field, &parts) != 1) return std::nullopt;
  return std::chrono::system_clock::from_time_t(
      std::clamp<std::time_t>(timegm(&parts), 0, kLastSecond));
}

bool SetCommonName(X509_NAME* name, const std::string& text) {
  return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                    reinterpret_cast<const unsigned char*>(text.data()),
                                    static_cast<int>(text.size()), -1, 0) == 1;
}

bool AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  return extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1;
}

// All but names and extensions.
X509Ptr Blank(EVP_PKEY* key, const Validity& validity, WallTime now,
              std::optional<WallTime> at_latest) {
  const auto steps = [](Duration d) { return std::chrono::duration_cast<WallTime::duration>(d); };
  WallTime end = now + steps(validity.lifetime);
  if (at_latest && *at_latest < end) end = *at_latest;
  X509Ptr certificate(X509_new());
  if (certificate == nullptr || X509_set_version(certificate.get(), X509_VERSION_3) != 1 ||
      !SetRandomSerial(certificate.get()) ||
      !SetTime(X509_getm_notBefore(certificate.get()), now - steps(validity.back_date)) ||
      !SetTime(X509_getm_notAfter(certificate.get()), end) ||
      X509_set_pubkey(certificate.get(), key) != 1)
    return nullptr;
  return certificate;
}

// What stands in a configuration text of OpenSSL must not be able to say more than a name.
bool IsDnsName(std::string_view name) {
  if (name.empty() || name.size() > kMaxDnsName) return false;
  for (const char c : name) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!letter && !(c >= '0' && c <= '9') && c != '-' && c != '.') return false;
  }
  return true;
}

}  // namespace

Result<CertificateAndKey> MakeAuthority(const Validity& validity, WallTime now) {
  const KeyPtr key(EVP_EC_gen("P-256"));
  if (key == nullptr) return Refused("make a key");
  const X509Ptr certificate = Blank(key.get(), validity, now, std::nullopt);
  if (certificate == nullptr) return Refused("make a certificate");
  std::array<unsigned char, 8> id{};
  if (RAND_bytes(id.data(), static_cast<int>(id.size())) != 1) return Refused("make a name");
  std::string name = "backfill-operator ";
  for (const unsigned char byte : id) name += fmt::format("{:02x}", byte);
  X509* const it = certificate.get();
  if (!SetCommonName(X509_get_subject_name(it), name) ||
      X509_set_issuer_name(it, X509_get_subject_name(it)) != 1 ||
      !AddExtension(it, it, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
      !AddExtension(it, it, NID_key_usage, "critical,keyCertSign,cRLSign") ||
      !AddExtension(it, it, NID_subject_key_identifier, "hash") ||
      X509_sign(it, key.get(), EVP_sha256()) == 0)
    return Refused("make a certificate authority");
  return ToPem(it, key.get());
}

Result<CertificateAndKey> IssueServerCertificate(const CertificateAndKey& authority,
                                                 const std::vector<std::string>& names,
                                                 const Validity& validity, WallTime now) {
  const X509Ptr issuer = ParseCertificate(authority.certificate);
  const KeyPtr issuer_key = ParseKey(authority.key);
  if (issuer == nullptr || issuer_key == nullptr ||
      X509_check_private_key(issuer.get(), issuer_key.get()) != 1) {
    ERR_clear_error();
    return Error{ErrorCode::kInvalid, "the certificate authority and its key cannot be used"};
  }
  std::string alternatives;
  for (const std::string& name : names) {
    if (!IsDnsName(name))
      return Error{ErrorCode::kInvalid, "a server certificate is wanted for what is no DNS name"};
    alternatives += (alternatives.empty() ? "DNS:" : ",DNS:") + name;
  }
  if (alternatives.empty())
    return Error{ErrorCode::kInvalid, "a server certificate is wanted for no name"};
  const KeyPtr key(EVP_EC_gen("P-256"));
  if (key == nullptr) return Refused("make a key");
  const X509Ptr certificate =
      Blank(key.get(), validity, now, TimeOf(X509_get0_notAfter(issuer.get())));
  if (certificate == nullptr) return Refused("make a certificate");
  X509* const it = certificate.get();
  // A common name has 64 bytes at most, which a DNS name may exceed; clients read the alternatives.
  if (!SetCommonName(X509_get_subject_name(it), "backfill-coordinator") ||
      X509_set_issuer_name(it, X509_get_subject_name(issuer.get())) != 1 ||
      !AddExtension(it, issuer.get(), NID_basic_constraints, "critical,CA:FALSE") ||
      !AddExtension(it, issuer.get(), NID_key_usage, "critical,digitalSignature") ||
      !AddExtension(it, issuer.get(), NID_ext_key_usage, "serverAuth") ||
      !AddExtension(it, issuer.get(), NID_subject_key_identifier, "hash") ||
      !AddExtension(it, issuer.get(), NID_authority_key_identifier, "keyid:always") ||
      !AddExtension(it, issuer.get(), NID_subject_alt_name, alternatives) ||
      X509_sign(it, issuer_key.get(), EVP_sha256()) == 0)
    return Refused("make a server certificate");
  return ToPem(it, key.get());
}

Result<CertificateFacts> ReadCertificate(std::string_view pem) {
  const X509Ptr certificate = ParseCertificate(pem);
  if (certificate == nullptr) return Error{ErrorCode::kInvalid, "no certificate can be read"};
  const auto not_before = TimeOf(X509_get0_notBefore(certificate.get()));
  const auto not_after = TimeOf(X509_get0_notAfter(certificate.get()));
  if (!not_before || !not_after)
    return Error{ErrorCode::kInvalid, "the times of the certificate cannot be read"};
  CertificateFacts facts{.not_before = *not_before,
                         .not_after = *not_after,
                         .is_authority = X509_check_ca(certificate.get()) == 1,
                         .names = {}};
  const AltNamesPtr names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate.get(), NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_DNS) continue;
    facts.names.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                             static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName)));
  }
  ERR_clear_error();
  return facts;
}

std::string CertificatesOnly(std::string_view pem) {
  const BioPtr in = Reader(pem);
  const BioPtr out(BIO_new(BIO_s_mem()));
  if (in == nullptr || out == nullptr) return {};
  ERR_clear_error();
  for (int i = 0; i < kMaxCertificates; ++i) {
    const X509Ptr one(PEM_read_bio_X509(in.get(), nullptr, NoPassword, nullptr));
    if (one == nullptr) {
      const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
      ERR_clear_error();
      return at_end ? TextOf(out.get()) : std::string();
    }
    if (PEM_write_bio_X509(out.get(), one.get()) != 1) break;
  }
  ERR_clear_error();
  return {};
}

bool KeyFits(std::string_view certificate, std::string_view key) {
  const X509Ptr parsed = ParseCertificate(certificate);
  const KeyPtr parsed_key = ParseKey(key);
  const bool fits = parsed != nullptr && parsed_key != nullptr &&
                    X509_check_private_key(parsed.get(), parsed_key.get()) == 1;
  ERR_clear_error();
  return fits;
}

bool IsIssuedBy(std::string_view certificate, std::string_view authority) {
  const X509Ptr parsed = ParseCertificate(certificate);
  const X509Ptr issuer = ParseCertificate(authority);
  const bool issued = parsed != nullptr && issuer != nullptr &&
                      X509_check_issued(issuer.get(), parsed.get()) == X509_V_OK &&
                      X509_verify(parsed.get(), X509_get0_pubkey(issuer.get())) == 1;
  ERR_clear_error();
  return issued;
}

std::vector<std::string> ServerNames(std::string_view service, std::string_view ns,
                                     std::string_view cluster_domain) {
  return {fmt::format("{}.{}.svc", service, ns),
          fmt::format("{}.{}.svc.{}", service, ns, cluster_domain), std::string(service)};
}

}  // namespace backfill::certificates
