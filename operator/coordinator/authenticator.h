#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "operator/reconcile/stage_host.h"

namespace backfill::coordinator {

// What a stream may act for, as proven; whatever its Hello says.
struct WorkerIdentity {
  reconcile::StageKey stage;
  std::string worker;    // the slot in its pool: "run-3"
  std::string instance;  // the process in it: the uid of the pod
  // When the pod was created, RFC 3339, which sorts: of two in one slot the newer holds it.
  std::string created = {};
  bool operator==(const WorkerIdentity&) const = default;
};

// Tells who shows a token. Thread-safe; called on gRPC's threads, so it must not block.
class Authenticator {
 public:
  // kUnauthenticated, kPermission: refused for good; kUnavailable: it cannot be told now. nullopt:
  // accepted, and the Hello is believed (one machine, where all share one secret).
  using Done = std::function<void(Result<std::optional<WorkerIdentity>>)>;

  virtual ~Authenticator() = default;
  // `peer` is the address as gRPC writes it. `done` is called once, on any thread, perhaps before
  // this returns. Neither the token nor why it was refused may be told to the peer.
  virtual void Authenticate(std::string token, std::string peer, Done done) = 0;
};

}  // namespace backfill::coordinator
