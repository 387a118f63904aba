#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "backfill/v1/coordinator.pb.h"
#include "base/result.h"
#include "operator/coordinator/partition_share.h"
#include "operator/lease/lease_book.h"
#include "operator/ledger/failure_log.h"
#include "operator/throttle/rate_share.h"
#include "rows/extent.h"

// Between the wire and the types of lease, ledger and throttle. Pure. What comes in is bounded here
// where the protocol names a bound; what it means is judged by the lease book.
namespace backfill::coordinator {

inline constexpr int kMaxFailures = 500;
// Of one lease, listed and in no report yet: a worker has at most 4,096 records beyond its cursor,
// and keeps at most 4,096 failures that are not durable.
inline constexpr std::size_t kMaxUncounted = 8192;
inline constexpr int kMaxSamples = 100;
inline constexpr int kMaxPartitions = 65;             // one without a name
inline constexpr std::size_t kMaxPartitionName = 64;  // bytes
inline constexpr std::size_t kMaxTrouble = 1024;      // bytes

// Why the message breaks the protocol; nullopt: it does not.
std::optional<std::string> WhyMalformed(const v1::WorkerMessage& message);

lease::LeaseReport ToReport(const v1::LeaseProgress& progress);
template <typename Repeated>
std::vector<lease::LeaseReport> ToReports(const Repeated& repeated) {
  std::vector<lease::LeaseReport> reports;
  reports.reserve(static_cast<std::size_t>(repeated.size()));
  for (const v1::LeaseProgress& progress : repeated) reports.push_back(ToReport(progress));
  return reports;
}
lease::LeaseName ToName(const v1::LeaseRef& ref);
ledger::FailedRecord ToFailedRecord(const lease::LeaseName& lease,
                                    const v1::RecordFailure& failure);

v1::LeaseRef ToRef(const lease::LeaseName& name);
// `extent`: of a file source.
v1::Lease ToLease(const ledger::Shard& shard, const rows::Extent* extent);
// What a worker says of its source; nullopt: nothing is wrong (any more).
std::optional<Error> ToSourceError(const v1::SourceTrouble& trouble);
v1::Ack ToAck(const lease::SendAck& ack);
v1::Revoke ToRevoke(const lease::SendRevoke& revoke);
v1::Shrink ToShrink(const lease::SendShrink& shrink);
// By name; of names that are the same the last.
std::map<std::string, PartitionTotals> ToPartitions(const v1::Progress& progress);
v1::PartitionCaps ToCaps(const PartitionAction& action);
v1::Grant ToGrant(const throttle::GrantAction& action);

std::uint32_t ToMillis(Duration duration);

}  // namespace backfill::coordinator
