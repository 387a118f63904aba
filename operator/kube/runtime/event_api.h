#pragma once

#include <stop_token>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "operator/kube/client/api_error.h"
#include "operator/kube/client/http_transport.h"
#include "operator/kube/runtime/event_aggregation.h"

namespace backfill::kube {

// Where events are kept. kAlreadyExists: it was created before; kNotFound: the event whose series
// is to be written has gone.
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual ApiResult<Ok> Write(const EventWrite& write, Time deadline, std::stop_token stop) = 0;
};

// Events of events.k8s.io/v1: created, and patched for a series. The transport must outlive it.
class HttpEventSink final : public EventSink {
 public:
  // `controller` is a qualified name, such as backfill.dev/operator; `instance` is the pod.
  HttpEventSink(HttpTransport& transport, std::string controller, std::string instance);
  ApiResult<Ok> Write(const EventWrite& write, Time deadline, std::stop_token stop) override;

 private:
  HttpTransport& transport_;
  const std::string controller_;
  const std::string instance_;
};

}  // namespace backfill::kube
