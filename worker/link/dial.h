#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace backfill::worker {

// How a worker comes to the coordinator: where it is, and what it is shown.
struct DialOptions {
  std::string address;     // a gRPC target, such as unix:/path, 127.0.0.1:9000, dns:///host:9443
  std::string token = {};  // secret; or
  std::string token_file = {};  // read for each stream: a kubelet writes a newer one before it ends
  std::string ca_file = {};     // PEM; empty: without TLS
  // What its certificate is for, where it is reached by another name, such as through a tunnel.
  // Empty: the name that is dialled.
  std::string server_name = {};
};

// Whether what is sent to a gRPC target stays on this machine: a unix socket, or a literal address
// of loopback. A name could be anybody's.
bool StaysOnThisMachine(std::string_view address);

// What to show on the next stream. kUnavailable: it cannot be read, or is none; it may come to be.
// Never says what stands in the file.
Result<std::string> ReadToken(const DialOptions& options);
// Whom to trust on the next connection. "" without a file. kUnavailable as above: an empty file is
// no reason to trust everybody.
Result<std::string> ReadAuthorities(const DialOptions& options);

}  // namespace backfill::worker
