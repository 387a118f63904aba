#include "operator/certificates/mounted_certificates.h"

#include <pthread.h>

#include <fstream>
#include <utility>

#include "base/log.h"
#include "operator/certificates/authority.h"

namespace backfill::certificates {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 20;  // as large as a Secret may be

Result<std::string> ReadPem(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return Error{ErrorCode::kNotFound, path + " cannot be read"};
  std::string text(kMaxFileBytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() > kMaxFileBytes) return Error{ErrorCode::kInvalid, path + " is too large"};
  return text;
}

}  // namespace

MountedCertificates::MountedCertificates(const Clock& clock, MountedCertificatesOptions options)
    : clock_(clock), options_(std::move(options)) {}

void MountedCertificates::Start() {
  const auto look = [this] {
    if (const Status looked = Look(); !looked.ok())
      Log(LogLevel::kWarning, "the mounted certificates cannot be used",
          {{"error", looked.error().message}});
  };
  look();
  thread_ = std::jthread([this, look](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      options_.wait(clock_.Steady() + options_.look_every, stop);
      if (!stop.stop_requested()) look();
    }
  });
  pthread_setname_np(thread_.native_handle(), "bf-certificates");
}

void MountedCertificates::Stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

std::string MountedCertificates::PathOf(const char* file) const {
  return options_.directory + "/" + file;
}

Status MountedCertificates::Look() {
  // Before the files: what changes in between is read again.
  const Stamps stamps{.certificate = StampOf(PathOf("tls.crt")),
                      .key = StampOf(PathOf("tls.key")),
                      .authority = StampOf(PathOf("ca.crt"))};
  if (used_ && stamps == stamps_) return Ok{};
  used_ = false;
  auto server = std::make_shared<coordinator::ServerCertificate>();
  server->chain = TRY(ReadPem(PathOf("tls.crt")));
  server->key = TRY(ReadPem(PathOf("tls.key")));
  const std::string authorities = TRY(ReadPem(PathOf("ca.crt")));
  const CertificateFacts facts =
      TRY(ReadCertificate(server->chain).Annotate("reading " + PathOf("tls.crt")));
  if (!KeyFits(server->chain, server->key)) {
    return Error{ErrorCode::kInvalid,
                 PathOf("tls.key") + " is not the key of the certificate, or cannot be read"};
  }
  auto bundle = std::make_shared<const std::string>(CertificatesOnly(authorities));
  if (bundle->empty())
    return Error{ErrorCode::kInvalid, PathOf("ca.crt") + " has no certificate that can be read"};
  const CertificateFacts authority = TRY(ReadCertificate(*bundle));
  stamps_ = stamps;
  used_ = true;
  MutexLock l(mu_);
  serving_ = std::move(server);
  bundle_ = std::move(bundle);
  ends_ = {.server = facts.not_after, .authority = authority.not_after};
  return Ok{};
}

std::shared_ptr<const coordinator::ServerCertificate> MountedCertificates::Current() const {
  MutexLock l(mu_);
  return serving_;
}

std::shared_ptr<const std::string> MountedCertificates::Bundle() const {
  MutexLock l(mu_);
  return bundle_;
}

CertificateEnds MountedCertificates::Ends() const {
  MutexLock l(mu_);
  return ends_;
}

}  // namespace backfill::certificates
