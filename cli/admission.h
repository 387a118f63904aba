#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "cli/spec_changes.h"
#include "operator/api/backfill.h"

// What a file means for what is stored under its name. Pure.
namespace backfill::cli {

// There is none: it is created.
struct AdmitNew {};
// The same spec: it goes on where it was.
struct AdmitSame {};
// Another spec, and the difference is allowed: `updated` is written.
struct AdmitChanged {
  api::Backfill updated;
  std::vector<SpecChange> changes;
};
// It has ended under this very spec.
struct AlreadyEnded {};
// Not allowed; each reason says what to do.
struct Refused {
  std::vector<std::string> reasons;
};
using Admission = std::variant<AdmitNew, AdmitSame, AdmitChanged, AlreadyEnded, Refused>;

Admission Admit(const std::optional<api::Backfill>& stored, const api::Backfill& declared);

}  // namespace backfill::cli
