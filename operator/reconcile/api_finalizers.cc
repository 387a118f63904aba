#include "operator/reconcile/api_finalizers.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "operator/kube/object_store.h"

namespace backfill::reconcile {
namespace {

using nlohmann::json;

constexpr char kPath[] = "/metadata/finalizers";
constexpr kube::Resource kBackfills{.type = {.group = "backfill.dev",
                                             .version = "v1alpha1",
                                             .plural = "backfills",
                                             .kind = kube::kBackfillKind},
                                    .decode = kube::DecodeMetaOnly};

// What the patch is made from.
struct Seen {
  std::vector<std::string> list;
  std::string version;
};

// nullopt: it is there, or is gone, already. Servers differ in whether a list that is absent can be
// tested, so then the version is.
std::optional<std::string> PatchOf(bool add, const std::string& uid, const Seen& seen) {
  std::vector<std::string> next = seen.list;
  const auto at = std::ranges::find(next, api::kDrainFinalizer);
  if ((at != next.end()) == add) return std::nullopt;
  if (add) {
    next.emplace_back(api::kDrainFinalizer);
  } else {
    next.erase(at);
  }
  json patch = json::array({{{"op", "test"}, {"path", "/metadata/uid"}, {"value", uid}}});
  if (seen.list.empty()) {
    patch.push_back(
        {{"op", "test"}, {"path", "/metadata/resourceVersion"}, {"value", seen.version}});
  } else {
    patch.push_back({{"op", "test"}, {"path", kPath}, {"value", seen.list}});
  }
  if (next.empty()) {
    patch.push_back({{"op", "remove"}, {"path", kPath}});
  } else {
    patch.push_back({{"op", "add"}, {"path", kPath}, {"value", next}});
  }
  return patch.dump(-1, ' ', false, json::error_handler_t::replace);
}

Error Changed(const std::string& what) {
  return {ErrorCode::kConflict, what + ": it has changed since it was read; read it again"};
}

}  // namespace

Status ApiFinalizers::Add(const api::Backfill& backfill) { return Apply(Change::kAdd, backfill); }

Status ApiFinalizers::Remove(const api::Backfill& backfill) {
  const Status removed = Apply(Change::kRemove, backfill);
  if (!removed.ok() && removed.error().code == ErrorCode::kNotFound) return Ok{};
  return removed;
}

Status ApiFinalizers::Pause(const api::Backfill& backfill, const std::string& reason) {
  const json patch = {{"metadata",
                       {{"uid", backfill.uid},
                        {"resourceVersion", backfill.resource_version},
                        {"annotations", {{api::kPausedAnnotation, reason}}}}}};
  const auto patched =
      client_.Patch(kBackfills, {.ns = backfill.ns, .name = backfill.name},
                    patch.dump(-1, ' ', false, json::error_handler_t::replace),
                    {.type = kube::PatchType::kMerge}, {.deadline = clock_.Steady() + timeout_});
  if (patched.ok()) return Ok{};
  return patched.error().ToError().Annotate("pausing Backfill " + backfill.ns + "/" +
                                            backfill.name);
}

Status ApiFinalizers::Apply(Change change, const api::Backfill& backfill) {
  const bool add = change == Change::kAdd;
  const std::string doing = std::string(add ? "adding" : "removing") +
                            " the finalizer of Backfill " + backfill.ns + "/" + backfill.name;
  const kube::ObjectKey key{.ns = backfill.ns, .name = backfill.name};
  const kube::CallLimits limits{.deadline = clock_.Steady() + timeout_};
  Seen seen{backfill.finalizers, backfill.resource_version};
  for (int tries = 0; tries < 2; ++tries) {
    const auto patch = PatchOf(add, backfill.uid, seen);
    if (!patch) return Ok{};
    const auto patched =
        client_.Patch(kBackfills, key, *patch, {.type = kube::PatchType::kJson}, limits);
    if (patched.ok()) return Ok{};
    // 422 is also what a failed test is, whichever of the two.
    if (patched.error().kind != kube::ApiErrorKind::kInvalid || tries > 0)
      return patched.error().ToError().Annotate(doing);
    const auto read = client_.Get(kBackfills, key, limits);
    if (!read.ok()) return read.error().ToError().Annotate(doing);
    const kube::ObjectMeta& now = (*read)->meta;
    if (now.uid != backfill.uid)
      return add ? Status(Changed(doing)) : Status(Ok{});  // ours is gone
    const bool same =
        now.finalizers == seen.list && (!seen.list.empty() || now.resource_version == seen.version);
    if (same) return patched.error().ToError().Annotate(doing);  // it is refused for something else
    seen = {now.finalizers, now.resource_version};
  }
  return Changed(doing);
}

}  // namespace backfill::reconcile
