#include "worker/target/credentials.h"

#include <utility>

namespace backfill::worker {

Result<Credentials> Credentials::Load(const Renderer& request) {
  Credentials credentials;
  if (request.https())
    credentials.tls = TRY(TlsClient::Create(request.tls(), request.host(), request.port()));
  credentials.headers =
      TRY(SecretHeaders::Load(request.secret_headers(), "target.http.secretHeaders"));
  return credentials;
}

}  // namespace backfill::worker
