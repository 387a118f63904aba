#include "operator/coordinator/shared_token.h"

#include <openssl/crypto.h>

namespace backfill::coordinator {

void SharedToken::Authenticate(std::string token, std::string /*peer*/, Done done) {
  // The time taken must not tell how many bytes were right; the length is no secret.
  if (token.size() != token_.size() ||
      CRYPTO_memcmp(token.data(), token_.data(), token_.size()) != 0) {
    return done(Error{ErrorCode::kUnauthenticated, "not the token of this runner"});
  }
  done(std::optional<WorkerIdentity>());
}

}  // namespace backfill::coordinator
