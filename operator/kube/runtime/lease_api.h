#pragma once

#include <stop_token>
#include <string>

#include "base/clock.h"
#include "operator/kube/client/api_error.h"
#include "operator/kube/client/http_transport.h"
#include "operator/kube/runtime/election.h"

namespace backfill::kube {

// Where the Lease is kept. Each call returns by its deadline, or soon after a stop. Errors as
// Election::OnResult() reads them.
class LeaseApi {
 public:
  virtual ~LeaseApi() = default;
  virtual ApiResult<StoredLease> Get(Time deadline, std::stop_token stop) = 0;
  virtual ApiResult<StoredLease> Create(const LeaseRecord& record, Time deadline,
                                        std::stop_token stop) = 0;
  // kConflict unless `base` is still what is stored.
  virtual ApiResult<StoredLease> Update(const StoredLease& base, const LeaseRecord& record,
                                        Time deadline, std::stop_token stop) = 0;
};

// A Lease of coordination.k8s.io/v1. What others have put into it (labels, owners, fields of spec
// unknown here) stays. The transport must outlive it, and should serve nothing else, so that
// renewals never queue behind a list (R34). As thread-safe as the transport.
class HttpLeaseApi final : public LeaseApi {
 public:
  HttpLeaseApi(HttpTransport& transport, std::string ns, std::string name);

  ApiResult<StoredLease> Get(Time deadline, std::stop_token stop) override;
  ApiResult<StoredLease> Create(const LeaseRecord& record, Time deadline,
                                std::stop_token stop) override;
  ApiResult<StoredLease> Update(const StoredLease& base, const LeaseRecord& record, Time deadline,
                                std::stop_token stop) override;

 private:
  ApiResult<StoredLease> Send(const HttpRequest& request, Time deadline, std::stop_token stop,
                              const std::string& doing);

  HttpTransport& transport_;
  const std::string ns_;
  const std::string name_;
};

// RFC 3339 in UTC with microseconds, as Kubernetes' MicroTime: 2026-11-28T00:47:33.000125Z.
std::string FormatMicroTime(WallTime t);

}  // namespace backfill::kube
