#include "operator/reconcile/api_events.h"

#include <string>

#include "operator/kube/object_store.h"

namespace backfill::reconcile {

void ApiEvents::Record(const api::Backfill& backfill, const BackfillEvent& event) {
  kube::Event told;
  told.regarding = {.api_version = "backfill.dev/v1alpha1",
                    .kind = std::string(kube::kBackfillKind),
                    .ns = backfill.ns,
                    .name = backfill.name,
                    .uid = backfill.uid};
  told.type = event.warning ? kube::EventType::kWarning : kube::EventType::kNormal;
  told.reason = event.reason;
  told.action = event.action;
  told.note = event.note;
  recorder_.Record(told);
}

}  // namespace backfill::reconcile
