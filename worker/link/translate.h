#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "backfill/v1/coordinator.pb.h"
#include "worker/engine/engine.h"

namespace backfill::worker {

// Between the protocol's messages and the engine's types. What comes from the wire is only checked
// for shape here; whether it makes sense is the engine's to say.

LeaseKey KeyOf(const v1::LeaseRef& ref);
v1::LeaseRef RefOf(const LeaseKey& key, Epoch epoch);
LeaseOffer OfferOf(const v1::Lease& lease);
v1::LeaseProgress ProgressOf(const LeaseState& state, Epoch epoch);
v1::RecordFailure FailureOf(const FailedRecord& failure);
v1::HeldBack HeldBackOf(const InnerLoop& inner);
v1::PartitionProgress PartitionProgressOf(const PartitionReport& report);
PartitionCaps CapsOf(const v1::PartitionCaps& caps, Time expires);
// Cut to what the protocol allows.
std::string TargetTroubleOf(std::string_view why);
v1::SourceTrouble TroubleOf(const std::optional<Error>& trouble);
// Bounded, so that no value of theirs can stop a worker or make it spin.
EngineLimits LimitsOf(const v1::Limits& limits);
Duration ReportPeriodOf(const v1::Limits& limits);

}  // namespace backfill::worker
