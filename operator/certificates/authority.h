#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

// Certificates of the coordinator: an authority of its own, and what it signs. Keys are P-256,
// serial numbers 127 random bits. No I/O but for the system's random numbers; the time is an
// argument. Safe on any thread.
//
// Errors never say anything of a key, nor of the text that could not be read.
namespace backfill::certificates {

// PEM. The key never gets into a log, a message or a status.
struct CertificateAndKey {
  std::string certificate;
  std::string key;
};

struct Validity {
  Duration lifetime = std::chrono::hours(24 * 30);
  // Begins this long before `now`, for those whose clock is behind.
  Duration back_date = std::chrono::minutes(5);
};

// A new authority under a subject that no other one has: a chain is looked up by it, and the old
// and the new one stand in one bundle. kInternal: OpenSSL refuses.
Result<CertificateAndKey> MakeAuthority(const Validity& validity, WallTime now);

// A server certificate for these DNS names, with a key of its own. Ends with its authority at the
// latest. kInvalid: no name, one of over 253 bytes or with something that is in no DNS name, or an
// authority that cannot be read.
Result<CertificateAndKey> IssueServerCertificate(const CertificateAndKey& authority,
                                                 const std::vector<std::string>& names,
                                                 const Validity& validity, WallTime now);

struct CertificateFacts {
  WallTime not_before{};
  WallTime not_after{};
  bool is_authority = false;
  std::vector<std::string> names;  // DNS, in order
};

// Of the first certificate in the text. kInvalid.
Result<CertificateFacts> ReadCertificate(std::string_view pem);

// The certificates in a text, written anew, and nothing else that stands there, such as a key.
// Empty: there is none, one that cannot be read, or more than 100.
std::string CertificatesOnly(std::string_view pem);

// Whether the key belongs to the first certificate.
bool KeyFits(std::string_view certificate, std::string_view key);

// Whether `authority` has signed `certificate`, whatever the time.
bool IsIssuedBy(std::string_view certificate, std::string_view authority);

// <service>.<ns>.svc, the same under the cluster's domain, and the service's name alone.
std::vector<std::string> ServerNames(std::string_view service, std::string_view ns,
                                     std::string_view cluster_domain = "cluster.local");

}  // namespace backfill::certificates
