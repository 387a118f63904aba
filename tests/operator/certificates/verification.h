#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "base/clock.h"
#include "operator/coordinator/server_certificates.h"

namespace backfill::certificates {

// What OpenSSL itself says of a server certificate: empty, or why it is not trusted.
std::string WhyNotTrusted(const std::string& certificate, const std::string& bundle,
                          const std::string& host, WallTime at);

// A TLS handshake in memory: a server that shows `certificate` and a client that trusts `bundle`
// and wants to reach `host`. The client judges by `at`. Empty: both are through; else why not.
std::string WhyNoHandshake(const coordinator::ServerCertificate& certificate,
                           const std::string& bundle, const std::string& host, WallTime at);

}  // namespace backfill::certificates
