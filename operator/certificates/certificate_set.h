#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "operator/certificates/authority.h"
#include "operator/certificates/certificate_plan.h"

// The certificates that are kept together, and what a step of the plan makes of them. No I/O; the
// time is an argument.
namespace backfill::certificates {

// PEM. What is empty is not there; what cannot be read counts as not there.
struct CertificateSet {
  CertificateAndKey current;  // the authority in use
  CertificateAndKey next;     // published, used soon
  std::string old;            // published, not used any more; its key is gone
  CertificateAndKey server;
};

// `names`: those that the server is reached by.
HeldCertificates FactsOf(const CertificateSet& set, const std::vector<std::string>& names);

// Current, next and old, and nothing else that may stand there.
std::string BundleOf(const CertificateSet& set);

// The set after that step. Errors: those of the authority; the message has no key.
Result<CertificateSet> Take(CertificateStep step, CertificateSet set,
                            const std::vector<std::string>& names, const CertificatePolicy& policy,
                            WallTime now);

}  // namespace backfill::certificates
