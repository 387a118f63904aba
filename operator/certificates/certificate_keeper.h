#pragma once

#include <chrono>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>

#include "base/clock.h"
#include "operator/certificates/secret_certificates.h"
#include "operator/certificates/secret_watch.h"

namespace backfill::certificates {

struct CertificateKeeperOptions {
  SecretCertificatesOptions certificates;
  SecretWatchOptions watch;
  Duration look_every = std::chrono::seconds(1);     // whether something is due
  Duration longest_wait = std::chrono::seconds(60);  // after failures
  kube::WaitFunction wait = kube::WaitOnThread;
};

// Keeps the operator's certificates, in mode SelfSigned: watches their Secret, serves what stands
// in it, and renews it while this process leads. Every replica runs one.
//
// Two threads between Start and Stop. `watches` is a transport for watches, `api` one for the rest
// (R34). References outlive it. Failures are logged and tried again; what was served goes on.
class CertificateKeeper final : public coordinator::ServerCertificates, public CaBundle {
 public:
  CertificateKeeper(kube::HttpTransport& watches, const kube::ApiClient& api, const Clock& clock,
                    const coordinator::Leadership& leadership, CertificateKeeperOptions options);
  ~CertificateKeeper() { Stop(); }
  CertificateKeeper(const CertificateKeeper&) = delete;
  CertificateKeeper& operator=(const CertificateKeeper&) = delete;

  void Start();
  void Stop();  // idempotent

  [[nodiscard]] std::shared_ptr<const coordinator::ServerCertificate> Current() const override {
    return certificates_.Current();
  }
  [[nodiscard]] std::shared_ptr<const std::string> Bundle() const override {
    return certificates_.Bundle();
  }
  // What the Secret is, or that it is not there, has been seen.
  [[nodiscard]] bool HasSynced() const { return certificates_.HasSeen(); }
  [[nodiscard]] CertificateEnds Ends() const { return certificates_.Ends(); }

 private:
  void Run(const std::stop_token& stop);

  const Clock& clock_;
  const CertificateKeeperOptions options_;
  SecretCertificates certificates_;
  SecretWatch watch_;
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace backfill::certificates
