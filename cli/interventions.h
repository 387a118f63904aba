#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/spec_changes.h"
#include "operator/api/backfill.h"

// Who did what to a backfill and when: kept in an annotation, so that an entry is written with the
// change that it speaks of or not at all. Pure.
namespace backfill::cli {

inline constexpr char kInterventionsAnnotation[] = "backfill.dev/interventions";
inline constexpr std::size_t kMaxInterventions = 64;  // the oldest give way, and are counted

struct Intervention {
  std::string time;  // RFC 3339
  std::string by;
  std::string what;    // Paused, Resumed, Changed
  std::string detail;  // the reason, or what was changed
  bool operator==(const Intervention&) const = default;
};

struct InterventionLog {
  std::vector<Intervention> entries;  // in order of time
  std::uint64_t dropped = 0;          // that came before them
};

// Appends to the annotation. Texts are cut; an annotation that is no log is begun anew.
void NoteIntervention(api::Backfill& backfill, const Intervention& intervention);
InterventionLog ReadInterventions(const api::Backfill& backfill);

// "spec.paused: false -> true; ..."
std::string ChangesText(const std::vector<SpecChange>& changes);

}  // namespace backfill::cli
