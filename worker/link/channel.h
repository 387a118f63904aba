#pragma once

#include <memory>
#include <string>

#include "worker/link/dial.h"

namespace grpc {
class Channel;
}

namespace backfill::worker {

// A channel to the coordinator, with what a worker asks of one: keep-alive, time to connect while a
// thousand others do, no proxy. `authorities`: PEM, as of ReadAuthorities(); empty: without TLS.
// Connects with the first stream, and reconnects by itself. Thread-safe.
std::shared_ptr<grpc::Channel> OpenChannel(const DialOptions& dial, const std::string& authorities);

}  // namespace backfill::worker
