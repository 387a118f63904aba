#pragma once

#include <grpcpp/security/credentials.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include "base/mutex.h"
#include "operator/coordinator/server_certificates.h"
#include "tests/worker/target/certificates.h"

namespace backfill::coordinator {

// What a server shows, and whom its clients trust: an authority of its own, and a certificate for
// 127.0.0.1, until others are put in their place. Thread-safe but for its making.
class ShownCertificates final : public ServerCertificates {
 public:
  ShownCertificates() {
    char directory[] = "/tmp/backfill-certificates-XXXXXX";
    directory_ = mkdtemp(directory);
    Show(authority_.Issue(kLoopback));
  }
  ~ShownCertificates() override { std::filesystem::remove_all(directory_); }

  static constexpr const char* kLoopback = "IP:127.0.0.1,DNS:localhost";

  [[nodiscard]] std::shared_ptr<const ServerCertificate> Current() const override {
    MutexLock l(mu_);
    return shown_;
  }
  void Show(const fakes::Identity& identity) {
    identity.WriteTo(directory_ / "crt", directory_ / "key");
    ShowText({.chain = Read("crt"), .key = Read("key")});
  }
  void ShowText(const ServerCertificate& pair) {
    MutexLock l(mu_);
    shown_ = std::make_shared<const ServerCertificate>(pair);
  }
  void ShowNone() {
    MutexLock l(mu_);
    shown_ = nullptr;
  }

  [[nodiscard]] const fakes::Authority& authority() const { return authority_; }
  [[nodiscard]] std::string Pem(const fakes::Authority& authority) const {
    authority.WriteTo(directory_ / "ca");
    return Read("ca");
  }
  [[nodiscard]] std::string Pem() const { return Pem(authority_); }
  // A client's, who trusts that bundle; ours without.
  [[nodiscard]] std::shared_ptr<grpc::ChannelCredentials> ClientThatTrusts(
      const std::string& bundle = "") const {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = bundle.empty() ? Pem() : bundle;
    return grpc::SslCredentials(options);
  }

 private:
  [[nodiscard]] std::string Read(const char* name) const {
    std::ifstream in(directory_ / name);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
  }

  std::filesystem::path directory_;
  const fakes::Authority authority_;
  mutable Mutex mu_;
  std::shared_ptr<const ServerCertificate> shown_ GUARDED_BY(mu_);
};

}  // namespace backfill::coordinator
