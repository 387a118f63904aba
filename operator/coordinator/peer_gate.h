#pragma once

#include <chrono>
#include <cstddef>
#include <list>
#include <map>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace backfill::coordinator {

struct PeerLimits {
  int failures = 5;  // within `window`: then the address is closed for `closed`
  Duration window = std::chrono::minutes(1);
  Duration closed = std::chrono::minutes(1);
  int streams = 256;  // of one address at the same time: a node full of pods that use its address
  double streams_per_second = 20;  // begun by one address, after a burst
  int burst = 300;
  std::size_t addresses = 10'000;  // that are remembered
};

// "10.0.0.7" of gRPC's "ipv4:10.0.0.7:41234"; "" of a unix socket, which has no address.
std::string AddressOf(std::string_view peer);

// What one address may do, whoever it is. Pure: the time is an argument. Of addresses without a
// stream the one that left longest ago is forgotten first.
class PeerGate {
 public:
  enum class Verdict {
    kOpen,     // counts as a stream until Leave()
    kClosed,   // has shown too many tokens that were none
    kTooMany,  // streams, or addresses
    kTooFast,
  };

  explicit PeerGate(const PeerLimits& limits) : limits_(limits) {}

  Verdict Enter(const std::string& address, Time now);
  void Leave(const std::string& address);
  // A token was refused for good.
  void OnFailure(const std::string& address, Time now);

  [[nodiscard]] std::size_t size() const { return peers_.size(); }

 private:
  struct Peer {
    int streams = 0;
    double tokens = 0;
    Time filled{};
    int failures = 0;
    Time failing_since{};
    Time closed_until{};
    std::list<std::string>::iterator idle;  // valid without streams
  };
  Peer* Find(const std::string& address, Time now);

  const PeerLimits limits_;
  std::map<std::string, Peer> peers_;
  std::list<std::string> idle_;  // the one that left longest ago first
};

}  // namespace backfill::coordinator
