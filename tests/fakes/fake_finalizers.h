#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "operator/reconcile/event_sink.h"
#include "operator/reconcile/finalizers.h"
#include "tests/fakes/memory_store.h"

namespace backfill::fakes {

// Our finalizer on objects of a MemoryStore.
class FakeFinalizers final : public reconcile::Finalizers {
 public:
  explicit FakeFinalizers(MemoryStore& store) : store_(store) {}

  void FailNext(Error error) { fail_ = std::move(error); }

  Status Add(const api::Backfill& backfill) override { return Change(backfill, true); }
  Status Remove(const api::Backfill& backfill) override { return Change(backfill, false); }
  Status Pause(const api::Backfill& backfill, const std::string& reason) override {
    if (fail_) return *std::exchange(fail_, std::nullopt);
    kube::Object object =
        TRY(store_.Get({std::string(kube::kBackfillKind), backfill.ns, backfill.name}));
    object.annotations[api::kPausedAnnotation] = reason;
    (void)TRY(store_.Update(object, kube::Durability::kPower));
    return Ok{};
  }

 private:
  Status Change(const api::Backfill& backfill, bool add) {
    if (fail_) return *std::exchange(fail_, std::nullopt);
    const kube::ObjectRef ref{std::string(kube::kBackfillKind), backfill.ns, backfill.name};
    std::vector<std::string> list = TRY(store_.Get(ref)).finalizers;
    std::erase(list, api::kDrainFinalizer);
    if (add) list.emplace_back(api::kDrainFinalizer);
    return store_.SetFinalizers(ref, std::move(list));
  }

  MemoryStore& store_;
  std::optional<Error> fail_;
};

// Remembers what it was told.
class RecordedEvents final : public reconcile::EventSink {
 public:
  void Record(const api::Backfill&, const reconcile::BackfillEvent& event) override {
    reasons.push_back(event.reason);
  }
  std::vector<std::string> reasons;
};

}  // namespace backfill::fakes
