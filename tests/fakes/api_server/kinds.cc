#include "tests/fakes/api_server/kinds.h"

#include <algorithm>

namespace backfill::fakes {

KindTable::KindTable() {
  kinds_ = {
      {.version = "v1",
       .plural = "namespaces",
       .kind = "Namespace",
       .namespaced = false,
       .status = true},
      {.version = "v1", .plural = "configmaps", .kind = "ConfigMap"},
      {.version = "v1", .plural = "secrets", .kind = "Secret"},
      {.version = "v1", .plural = "services", .kind = "Service", .status = true},
      {.version = "v1", .plural = "serviceaccounts", .kind = "ServiceAccount"},
      {.version = "v1", .plural = "pods", .kind = "Pod", .status = true, .generation = true},
      {.version = "v1", .plural = "events", .kind = "Event"},
      {.group = "events.k8s.io", .version = "v1", .plural = "events", .kind = "Event"},
      {.group = "batch",
       .version = "v1",
       .plural = "jobs",
       .kind = "Job",
       .status = true,
       .generation = true,
       .orphans = true},
      {.group = "coordination.k8s.io",
       .version = "v1",
       .plural = "leases",
       .kind = "Lease",
       .created_by_put = true,
       .blind_update = false},
      {.group = "backfill.dev",
       .version = "v1alpha1",
       .plural = "backfills",
       .kind = "Backfill",
       .status = true,
       .custom = true,
       .generation = true,
       .blind_update = false},
      {.group = "backfill.dev",
       .version = "v1alpha1",
       .plural = "backfillledgers",
       .kind = "BackfillLedger",
       .custom = true,
       .generation = true,
       .blind_update = false},
  };
}

const FakeKind* KindTable::Find(std::string_view group, std::string_view version,
                                std::string_view plural) const {
  const auto it = std::ranges::find_if(kinds_, [&](const FakeKind& kind) {
    return kind.group == group && kind.version == version && kind.plural == plural;
  });
  return it == kinds_.end() ? nullptr : &*it;
}

const FakeKind* KindTable::FindByPlural(std::string_view plural) const {
  const auto it = std::ranges::find(kinds_, plural, &FakeKind::plural);
  return it == kinds_.end() ? nullptr : &*it;
}

void KindTable::Serve(FakeKind kind) {
  const auto it = std::ranges::find_if(kinds_, [&](const FakeKind& known) {
    return known.group == kind.group && known.plural == kind.plural;
  });
  if (it == kinds_.end()) {
    kinds_.push_back(std::move(kind));
  } else {
    *it = std::move(kind);
  }
}

}  // namespace backfill::fakes
