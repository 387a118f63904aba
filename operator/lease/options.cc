#include "operator/lease/lease_book.h"

namespace backfill::lease {

std::string LeaseOptions::Validate() const {
  if (fence <= Duration::zero()) return "fence must be positive";
  if (wire_time < Duration::zero()) return "wire_time must not be negative";
  if (ttl < fence + wire_time) return "ttl must be at least fence + wire_time";
  if (recovery_freeze < ttl) return "recovery_freeze must be at least ttl";
  if (max_leases < 1 || max_leases > kMaxLeases) return "max_leases must be 1 to 64";
  if (max_reserved < 1 || max_reserved > 10'000) return "max_reserved must be 1 to 10000";
  if (reserve_ahead < Duration::zero()) return "reserve_ahead must not be negative";
  if (min_split < 1) return "min_split must be at least 1";
  return {};
}

}  // namespace backfill::lease
