#pragma once

#include <string>
#include <utility>

#include "base/result.h"
#include "tests/operator/kube/cluster/server_access.h"

namespace backfill::kube {

// What makes pods that nobody runs, many at a time, as fast as a server takes them.
class Pods {
 public:
  // Of that namespace, which is made by Create.
  Pods(ServerAccess access, std::string ns) : access_(std::move(access)), ns_(std::move(ns)) {}

  // `n` such as a Job makes of a worker: with labels, variables and a projected token, 3 KiB of
  // JSON as the server has them. Those that are there stay.
  [[nodiscard]] Status Create(long n) const;
  // A label of pod after pod, of `n` in turn: as little as an event can be about.
  [[nodiscard]] Status Touch(long events, long n) const;

 private:
  const ServerAccess access_;
  const std::string ns_;
};

}  // namespace backfill::kube
