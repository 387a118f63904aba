#pragma once

#include <openssl/ssl.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "operator/kube/client/credentials.h"

namespace backfill::kube {

// Whether these can be used: every certificate reads, the key belongs to the certificate.
// kUnauthenticated, with what is wrong and where.
Status CheckPem(const Credentials& credentials);

// When the first certificate of a chain ends; absent: there is none.
std::optional<WallTime> ExpiryOf(std::string_view certificate_pem);

// Makes a context trust the given authorities and no other (R32: cpprestsdk adds the system's),
// speak TLS 1.2 at least, and show the client's certificate. Whatever fails leaves a context that
// trusts nobody. `refused` gets the reason when a server could not show who it is; it must outlive
// the context's handshakes.
void ApplyTls(SSL_CTX* context, const Credentials& credentials,
              const std::function<void(std::string reason)>* refused);

}  // namespace backfill::kube
