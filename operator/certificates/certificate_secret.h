#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "operator/certificates/certificate_set.h"
#include "operator/kube/client/api_object.h"

namespace backfill::certificates {

// The Secret in which the certificates are kept, as it was read. Whatever in it is not text in
// base64 counts as not there.
//
//   tls.crt, tls.key          the server certificate
//   ca.crt, ca.key            the authority in use
//   next-ca.crt, next-ca.key  one that is published and not in use yet
//   old-ca.crt                one that is published and not in use any more
struct CertificateSecret final : kube::ApiObject {
  CertificateSet set;
  std::string object;  // all of it, so that a write keeps what others have put there
};

extern const kube::Resource kCertificateSecrets;

// The Secret with that set in place of its own, to be written over the version that was read.
std::string ObjectWith(const CertificateSecret& secret, const CertificateSet& set);

}  // namespace backfill::certificates
