#pragma once

#include "operator/api/backfill.h"
#include "operator/reconcile/events.h"

namespace backfill::reconcile {

// Where events go. Nothing is decided by them, and they may be lost, so Record() neither waits nor
// fails. Thread-safe.
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void Record(const api::Backfill& backfill, const BackfillEvent& event) = 0;
};

// On one machine the command line shows what happens.
class NoEvents final : public EventSink {
 public:
  void Record(const api::Backfill&, const BackfillEvent&) override {}
};

}  // namespace backfill::reconcile
