#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "operator/api/backfill.h"
#include "operator/api/node.h"

namespace backfill::api {

// Between nodes and types, field by field; nothing is judged here. What is read has passed the
// schema; what is absent keeps the type's own initial value.

Backfill ReadBackfill(const Node& root);  // metadata, spec, status
Spec ReadSpec(const Node& spec);
Status ReadStatus(const Node& status);

Node WriteBackfill(
    const Backfill& backfill);  // with apiVersion and kind; status unless it is initial
Node WriteSpec(const Spec& spec);
Node WriteStatus(const Status& status);

// Only source, target and sharding, in a form that is the same for equal work. Of a file without
// its path.
Node WriteWork(const Spec& spec);

// "1m30s". Absent: not of that form. Saturates at 100 years.
std::optional<std::chrono::milliseconds> ParseDuration(std::string_view text);
// In the largest unit that is exact: "90s".
std::string WriteDuration(std::chrono::milliseconds duration);

std::string_view ToString(FileFormat format);
std::string_view ToString(SideEffects effects);
std::string_view ToString(OnExceeded reaction);
std::string_view ToString(SecretEncoding encoding);

}  // namespace backfill::api
