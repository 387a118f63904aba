#pragma once

#include "base/clock.h"
#include "operator/kube/client/api_client.h"
#include "operator/reconcile/finalizers.h"

namespace backfill::reconcile {

// Our finalizer on objects of an API server. One request for a call, and a second one where the
// list has changed since it was read. Thread-safe; client and clock must outlive it.
//
// A list is changed by a JSON patch that tests it first (R26): neither is another's finalizer lost,
// nor need the version be the newest, as somebody may be writing labels all the while. The uid is
// tested, too: an object of the same name that was created meanwhile is another one.
class ApiFinalizers final : public Finalizers {
 public:
  explicit ApiFinalizers(const kube::ApiClient& client, const Clock& clock,
                         Duration timeout = std::chrono::seconds(10))
      : client_(client), clock_(clock), timeout_(timeout) {}

  Status Add(const api::Backfill& backfill) override;
  Status Remove(const api::Backfill& backfill) override;
  Status Pause(const api::Backfill& backfill, const std::string& reason) override;

 private:
  enum class Change { kAdd, kRemove };
  Status Apply(Change change, const api::Backfill& backfill);

  const kube::ApiClient& client_;
  const Clock& clock_;
  const Duration timeout_;
};

}  // namespace backfill::reconcile
