#pragma once

#include <memory>
#include <string>

namespace backfill::coordinator {

// PEM. The key never gets into a log, a message or a status.
struct ServerCertificate {
  std::string chain;
  std::string key;
};

// The certificate that the coordinator shows, which changes while it serves. Thread-safe.
class ServerCertificates {
 public:
  virtual ~ServerCertificates() = default;
  // Asked at each handshake; must not block. nullptr: there is none yet, and nobody can connect.
  [[nodiscard]] virtual std::shared_ptr<const ServerCertificate> Current() const = 0;
};

}  // namespace backfill::coordinator
