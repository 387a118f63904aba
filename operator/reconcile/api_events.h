#pragma once

#include "operator/kube/runtime/event_recorder.h"
#include "operator/reconcile/event_sink.h"

namespace backfill::reconcile {

// Gives events to a recorder, which sends them on a thread of its own and bounds how many (F26).
// Thread-safe; the recorder must outlive it.
class ApiEvents final : public EventSink {
 public:
  explicit ApiEvents(kube::EventRecorder& recorder) : recorder_(recorder) {}
  void Record(const api::Backfill& backfill, const BackfillEvent& event) override;

 private:
  kube::EventRecorder& recorder_;
};

}  // namespace backfill::reconcile
