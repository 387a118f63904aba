#pragma once

#include <chrono>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/file_stamp.h"
#include "base/mutex.h"
#include "base/result.h"
#include "operator/certificates/ca_bundle.h"
#include "operator/certificates/secret_certificates.h"
#include "operator/coordinator/server_certificates.h"
#include "operator/kube/cache/informer.h"

namespace backfill::certificates {

struct MountedCertificatesOptions {
  std::string directory;  // a Secret that is mounted: tls.crt, tls.key, ca.crt
  Duration look_every = std::chrono::seconds(10);
  kube::WaitFunction wait = kube::WaitOnThread;
};

// Certificates that somebody else makes, in modes Secret and CertManager: files, read again when
// they change. A certificate whose key is not there yet, or files that cannot be read, leave what
// was served before in its place.
//
// An authority that is replaced at once is one that running workers do not know yet, for a minute
// or two: who makes the certificates keeps the old one in ca.crt for that long.
//
// One thread between Start and Stop. `clock` outlives it.
class MountedCertificates final : public coordinator::ServerCertificates, public CaBundle {
 public:
  MountedCertificates(const Clock& clock, MountedCertificatesOptions options);
  ~MountedCertificates() { Stop(); }
  MountedCertificates(const MountedCertificates&) = delete;
  MountedCertificates& operator=(const MountedCertificates&) = delete;

  void Start();  // reads them before it returns
  void Stop();   // idempotent

  // Reads what has changed. kNotFound, kInvalid: a file cannot be used, and which. One thread at a
  // time.
  Status Look();

  [[nodiscard]] std::shared_ptr<const coordinator::ServerCertificate> Current() const override;
  [[nodiscard]] std::shared_ptr<const std::string> Bundle() const override;
  [[nodiscard]] CertificateEnds Ends() const;

 private:
  struct Stamps {
    FileStamp certificate, key, authority;
    bool operator==(const Stamps&) const = default;
  };
  [[nodiscard]] std::string PathOf(const char* file) const;

  // ---- constant
  const Clock& clock_;
  const MountedCertificatesOptions options_;

  // ---- of who looks
  Stamps stamps_;
  bool used_ = false;  // what has these stamps is what is served

  mutable Mutex mu_;
  std::shared_ptr<const coordinator::ServerCertificate> serving_ GUARDED_BY(mu_);
  std::shared_ptr<const std::string> bundle_ GUARDED_BY(mu_);
  CertificateEnds ends_ GUARDED_BY(mu_);

  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace backfill::certificates
