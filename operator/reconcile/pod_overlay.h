#pragma once

#include <nlohmann/json_fwd.hpp>

namespace backfill::reconcile {

// Lays `overlay` over a pod template as a strategic merge patch does: maps are merged, lists whose
// items have an identity by that (containers by name, mounts by mountPath ..), other lists
// replaced. A volume of the same name with another source has that one alone. Orders to a patch
// ($patch ..) and nulls are not understood: api::CheckPodTemplate refuses them. Pure.
void LayOver(nlohmann::json& pod_template, const nlohmann::json& overlay);

}  // namespace backfill::reconcile
