#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/clock.h"
#include "operator/coordinator/front_door.h"
#include "operator/coordinator/peer_gate.h"

namespace backfill::coordinator {

class Authenticator;
class ServerCertificates;

struct ServerOptions {
  // Path of the socket, whose directory must be ours alone (0700) and is made if absent. Empty:
  // 127.0.0.1, any port.
  std::string unix_socket;
  // "0.0.0.0:9443", "[::]:9443", port 0 for any: instead of a socket. Then `certificates` must be
  // there, and the bounds for strangers hold (`peers`, `network`).
  std::string listen;
  // TLS with what this shows at each handshake. Null: none. Outlives the server.
  const ServerCertificates* certificates = nullptr;
  // Who tells whose token it is; outlives the server. Null: all workers show `token`.
  Authenticator* authenticator = nullptr;
  std::string token;  // the secret that workers share; without an authenticator never empty

  std::size_t max_streams = 10'000;
  std::size_t max_message_bytes = 4u << 20;
  Duration hello_timeout =
      std::chrono::seconds(10);  // for the first message of a stream, who it is included
  Duration shutdown_timeout = std::chrono::seconds(1);  // then streams are cut
  // Whether who is proven is still so is asked again after so long, or a quarter less.
  Duration review_every = std::chrono::minutes(10);

  PeerLimits peers;
  struct Network {
    ConnectionLimits connections;
    std::size_t max_message_bytes = 1u << 20;
    int max_streams_per_connection = 16;
    Duration handshake_timeout = std::chrono::seconds(10);
    Duration max_idle = std::chrono::minutes(5);  // without a stream
    // So that workers spread over addresses and show a newer token. gRPC adds up to a tenth.
    Duration max_age = std::chrono::minutes(30);
    Duration max_age_grace = std::chrono::seconds(30);
  } network;
};

// Counted since the start.
struct ServerCounts {
  std::uint64_t streams = 0;          // taken up
  std::uint64_t unauthenticated = 0;  // refused for a missing or wrong token
  std::uint64_t forbidden = 0;        // refused: a token of somebody who is no worker here
  std::uint64_t foreign = 0;          // refused: Hello names another Backfill or stage
  std::uint64_t superseded = 0;       // refused: a newer pod has the slot
  std::uint64_t undecided = 0;        // put off: it could not be told whose token it was
  std::uint64_t closed = 0;           // refused unheard: too many failures from that address
  std::uint64_t refused = 0;          // refused because there were too many, or they came too fast
  std::uint64_t turned_away = 0;      // connections beyond the bounds, closed unheard
  std::uint64_t not_serving = 0;      // put off: this process may not speak
  std::uint64_t revoked = 0;          // open streams that lost their right
  std::uint64_t broken = 0;           // ended for breaking the protocol
};

}  // namespace backfill::coordinator
