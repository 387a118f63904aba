#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/result.h"
#include "operator/certificates/ca_bundle.h"
#include "operator/certificates/certificate_secret.h"
#include "operator/coordinator/leadership.h"
#include "operator/coordinator/server_certificates.h"
#include "operator/kube/client/api_client.h"

namespace backfill::certificates {

struct SecretCertificatesOptions {
  kube::ObjectKey secret;          // the chart creates it, empty
  std::vector<std::string> names;  // ServerNames()
  CertificatePolicy policy;
  Duration call_timeout = std::chrono::seconds(10);
  // How long every namespace with workers has had this bundle; nullopt: not all have it. Asked
  // before a new authority is used, without a lock. Not set: there is nobody to wait for.
  std::function<std::optional<Duration>(const std::string& bundle)> published_for = {};
};

// For the alert that a certificate is about to end.
struct CertificateEnds {
  std::optional<WallTime> server;
  std::optional<WallTime> authority;
};

// The certificates of one Secret: served by every replica, renewed by the one that leads. It has
// neither threads nor loops: whoever watches the Secret tells what it sees, whoever has the time
// asks it to renew (CertificateKeeper does both).
//
// Two that renew at once: the version decides, and the loser looks again. An answer that is lost
// costs nothing, as what stands in the Secret decides.
//
// Thread-safe; Renew by one thread at a time. What it refers to must outlive it.
class SecretCertificates final : public coordinator::ServerCertificates, public CaBundle {
 public:
  SecretCertificates(const kube::ApiClient& api, const Clock& clock,
                     const coordinator::Leadership& leadership, SecretCertificatesOptions options);

  // What the Secret is now; null: it is not there. What is older than what was seen changes
  // nothing. A server certificate that cannot be used leaves the last one in its place.
  void Observe(std::shared_ptr<const CertificateSecret> secret);

  [[nodiscard]] bool HasSeen() const;

  // Makes the next step that is due, if this process leads. Ok: nothing is due any more, or this
  // process does not lead. kConflict: another has written; look again. kNotFound: there is no
  // Secret. kUnavailable: nothing was seen yet. Else what the API server refused, without its
  // words, which may repeat what they refuse.
  Status Renew(const std::stop_token& stop);

  [[nodiscard]] std::shared_ptr<const coordinator::ServerCertificate> Current() const override;
  [[nodiscard]] std::shared_ptr<const std::string> Bundle() const override;
  [[nodiscard]] CertificateEnds Ends() const;

 private:
  using SecretPtr = std::shared_ptr<const CertificateSecret>;
  struct Seen {
    bool anything = false;
    SecretPtr secret;
    HeldCertificates held;
    Time next_since{};  // when the next authority was first seen
  };

  Status Write(const SecretPtr& base, const CertificateSet& set, const std::stop_token& stop);

  // ---- constant
  const kube::ApiClient& api_;
  const Clock& clock_;
  const coordinator::Leadership& leadership_;
  const SecretCertificatesOptions options_;

  mutable Mutex mu_;
  Seen seen_ GUARDED_BY(mu_);
  std::shared_ptr<const coordinator::ServerCertificate> serving_ GUARDED_BY(mu_);
  std::shared_ptr<const std::string> bundle_ GUARDED_BY(mu_);
};

}  // namespace backfill::certificates
