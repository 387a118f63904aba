#pragma once

#include <memory>

#include "base/result.h"
#include "base/secret_headers.h"
#include "worker/target/renderer.h"
#include "worker/target/tls_client.h"

namespace backfill::worker {

// What a sender needs beside the request to be let in, read from this machine's files.
struct Credentials {
  // kInvalid: a file cannot be read or does not hold what it should; the message names it.
  static Result<Credentials> Load(const Renderer& request);

  std::unique_ptr<TlsClient> tls;  // absent: http
  SecretHeaders headers;
};

}  // namespace backfill::worker
