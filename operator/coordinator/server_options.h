#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/clock.h"

namespace backfill::coordinator {

struct ServerOptions {
  // Path of the socket, whose directory must be ours alone (0700) and is made if absent. Empty:
  // 127.0.0.1, any port.
  std::string unix_socket;
  std::string token;  // the secret that workers show; never empty, never logged
  std::size_t max_streams = 10'000;
  std::size_t max_message_bytes = 4u << 20;
  Duration hello_timeout = std::chrono::seconds(10);    // for the first message of a stream
  Duration shutdown_timeout = std::chrono::seconds(1);  // then streams are cut
};

// Counted since the start.
struct ServerCounts {
  std::uint64_t streams = 0;          // taken up
  std::uint64_t unauthenticated = 0;  // refused for a missing or wrong token
  std::uint64_t refused = 0;          // refused because there were too many
  std::uint64_t broken = 0;           // ended for breaking the protocol
};

}  // namespace backfill::coordinator
