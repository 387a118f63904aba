#include "operator/coordinator/peer_gate.h"

#include <algorithm>

namespace backfill::coordinator {
namespace {

double Seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

}  // namespace

std::string AddressOf(std::string_view peer) {
  const auto scheme = peer.find(':');
  if (scheme == std::string_view::npos || peer.starts_with("unix")) return "";
  const std::string_view rest = peer.substr(scheme + 1);
  return std::string(rest.substr(0, rest.rfind(':')));
}

// Null: there is no room for another.
PeerGate::Peer* PeerGate::Find(const std::string& address, Time now) {
  const auto known = peers_.find(address);
  if (known != peers_.end()) return &known->second;
  if (peers_.size() >= limits_.addresses) {
    if (idle_.empty()) return nullptr;
    peers_.erase(idle_.front());
    idle_.pop_front();
  }
  Peer& peer = peers_[address];
  peer.tokens = limits_.burst;
  peer.filled = now;
  peer.idle = idle_.insert(idle_.end(), address);
  return &peer;
}

PeerGate::Verdict PeerGate::Enter(const std::string& address, Time now) {
  Peer* const peer = Find(address, now);
  if (peer == nullptr) return Verdict::kTooMany;
  if (now < peer->closed_until) return Verdict::kClosed;
  if (peer->streams >= limits_.streams) return Verdict::kTooMany;
  peer->tokens = std::min(static_cast<double>(limits_.burst),
                          peer->tokens + Seconds(now - peer->filled) * limits_.streams_per_second);
  peer->filled = now;
  if (peer->tokens < 1) return Verdict::kTooFast;
  peer->tokens -= 1;
  if (peer->streams++ == 0) idle_.erase(peer->idle);
  return Verdict::kOpen;
}

void PeerGate::Leave(const std::string& address) {
  const auto it = peers_.find(address);
  if (it == peers_.end() || it->second.streams == 0) return;
  if (--it->second.streams == 0) it->second.idle = idle_.insert(idle_.end(), address);
}

void PeerGate::OnFailure(const std::string& address, Time now) {
  Peer* const peer = Find(address, now);
  if (peer == nullptr) return;
  if (peer->failures == 0 || now - peer->failing_since >= limits_.window) {
    peer->failures = 0;
    peer->failing_since = now;
  }
  if (++peer->failures < limits_.failures) return;
  peer->failures = 0;
  peer->closed_until = now + limits_.closed;
}

}  // namespace backfill::coordinator
