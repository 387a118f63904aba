#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "operator/api/throttle.h"

// What a budget says by its preset: what kind of metric it is fills in what is not given, and what
// is given counts. A bound is never filled in: it is what the owner of the target allows. One
// table, in budget_presets.cc; docs/throttling/metrics.md shows it with the reasons. Pure.
namespace backfill::api {

// What holds: target, on_no_traffic and reduce are set, critical where its preset knows one.
Budget Filled(const Budget& budget);

// A field that only the preset says, and the value, as they would stand in the file.
struct PresetField {
  std::string_view field;
  std::string value;
  bool operator==(const PresetField&) const = default;
};
std::vector<PresetField> ByPreset(const Budget& budget);

}  // namespace backfill::api
