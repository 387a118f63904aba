#include "operator/app/refreshing_finalizers.h"

#include <string>

namespace backfill::app {
namespace {

kube::ObjectRef RefOf(const api::Backfill& b) {
  return {std::string(kube::kBackfillKind), b.ns, b.name};
}

}  // namespace

Status RefreshingFinalizers::Add(const api::Backfill& backfill) {
  Status added = finalizers_.Add(backfill);
  // Also where it failed: what was decided on was older than what is there.
  if (const Status read = store_.Refresh(RefOf(backfill)); added.ok() && !read.ok()) return read;
  return added;
}

Status RefreshingFinalizers::Pause(const api::Backfill& backfill, const std::string& reason) {
  Status paused = finalizers_.Pause(backfill, reason);
  if (const Status read = store_.Refresh(RefOf(backfill)); paused.ok() && !read.ok()) return read;
  return paused;
}

Status RefreshingFinalizers::Remove(const api::Backfill& backfill) {
  Status removed = finalizers_.Remove(backfill);
  const Status read = store_.Refresh(RefOf(backfill));
  const bool gone = !read.ok() && read.error().code == ErrorCode::kNotFound;
  if (removed.ok() && !read.ok() && !gone) return read;
  return removed;
}

}  // namespace backfill::app
