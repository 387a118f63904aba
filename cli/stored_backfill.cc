#include "cli/stored_backfill.h"

#include <fmt/format.h>

#include <ostream>
#include <utility>

#include "cli/exit_code.h"
#include "cli/terminal_text.h"
#include "operator/api/decode.h"
#include "operator/api/suggest.h"

namespace backfill::cli {
namespace {

Error NoName(const std::string& name) {
  return {ErrorCode::kInvalid, fmt::format("\"{}\" cannot be the name of a backfill", name)};
}

Error NoSuchBackfill(kube::ObjectStore& store, const Place& place, const std::string& name) {
  std::string text =
      fmt::format("no backfill \"{}\" in {}", Printable(name), Printable(place.state_dir));
  if (place.Namespace() != kDefaultNamespace) text += ", namespace " + Printable(place.Namespace());
  const auto all = store.List(kube::kBackfillKind, "");
  if (!all.ok()) return {ErrorCode::kNotFound, text};
  std::vector<std::string> names;
  for (const kube::Object& o : *all) {
    if (o.ref.ns == place.Namespace()) {
      names.push_back(o.ref.name);
    } else if (o.ref.name == name) {
      return {ErrorCode::kNotFound, fmt::format("{}; there is one in namespace {}: add -n {}", text,
                                                Printable(o.ref.ns), Printable(o.ref.ns))};
    }
  }
  if (const auto near = api::Nearest(name, names))
    return {ErrorCode::kNotFound, fmt::format("{}; did you mean \"{}\"?", text, Printable(*near))};
  return {ErrorCode::kNotFound, text + "; see what there is: backfill status"};
}

}  // namespace

reconcile::StageKey StageOf(const api::Backfill& backfill) {
  return {.ns = backfill.ns,
          .name = backfill.name,
          .uid = backfill.uid,
          .stage = backfill.spec.dry_run ? reconcile::Stage::kDryRun : reconcile::Stage::kRun};
}

kube::ObjectRef RefOf(const Place& place, const std::string& name) {
  return {std::string(kube::kBackfillKind), place.Namespace(), name};
}

int Refuse(Streams& streams, const std::string& message) {
  streams.err << "error: " << Printable(message) << "\n";
  return kExitNotStarted;
}

Result<OpenState> OpenExistingState(const Place& place, const Environment& env, Access access) {
  if (!IsName(place.Namespace())) {
    return Error{ErrorCode::kInvalid,
                 fmt::format("\"{}\" cannot be the name of a namespace", place.Namespace())};
  }
  StateDir dir = TRY(StateDir::Find(place.state_dir));
  auto store = TRY(env.open_store(dir.Database(), access).Annotate("opening the state"));
  return OpenState{std::move(dir), std::move(store)};
}

Result<api::Backfill> ReadBackfill(kube::ObjectStore& store, const Place& place,
                                   const std::string& name) {
  if (!IsName(name)) return NoName(name);
  Result<kube::Object> object = store.Get(RefOf(place, name));
  if (!object.ok() && object.error().code == ErrorCode::kNotFound)
    return NoSuchBackfill(store, place, name);
  if (!object.ok()) return object.error().Annotate("reading " + name);
  return api::FromObject(*object).Annotate("reading " + name);
}

Result<std::vector<api::Backfill>> ListBackfills(kube::ObjectStore& store, const Place& place) {
  const std::vector<kube::Object> objects =
      TRY(store.List(kube::kBackfillKind, place.ns.value_or("")));
  std::vector<api::Backfill> backfills;
  backfills.reserve(objects.size());
  for (const kube::Object& o : objects)
    backfills.push_back(TRY(api::FromObject(o).Annotate("reading " + o.ref.name)));
  return backfills;
}

Result<api::Backfill> WriteBackfill(kube::ObjectStore& store, const kube::ObjectRef& ref,
                                    const DecideBackfill& decide) {
  // A runner writes the status twice a second: one more try is rare, two are luck.
  constexpr int kMaxTries = 20;
  for (int i = 0; i < kMaxTries; ++i) {
    std::optional<api::Backfill> stored;
    if (const Result<kube::Object> object = store.Get(ref); object.ok()) {
      stored = TRY(api::FromObject(*object).Annotate("reading " + ref.name));
    } else if (object.error().code != ErrorCode::kNotFound) {
      return object.error().Annotate("reading " + ref.name);
    }
    const std::optional<api::Backfill> wanted = TRY(decide(stored ? &*stored : nullptr));
    if (!wanted && stored) return *stored;
    if (!wanted) return Error{ErrorCode::kNotFound, "there is no " + ref.name};
    const kube::Object object = api::ToObject(*wanted);
    const Result<kube::Object> written = stored ? store.Update(object, kube::Durability::kPower)
                                                : store.Create(object, kube::Durability::kPower);
    if (written.ok()) return api::FromObject(*written);
    if (written.error().code != ErrorCode::kConflict)
      return written.error().Annotate("writing " + ref.name);
  }
  return Error{ErrorCode::kConflict,
               fmt::format("writing {}: someone else changed it each of {} times; try again",
                           ref.name, kMaxTries)};
}

Result<api::Backfill> ChangeBackfill(kube::ObjectStore& store, const Place& place,
                                     const std::string& name, const EditBackfill& change) {
  if (!IsName(name)) return NoName(name);
  return WriteBackfill(store, RefOf(place, name),
                       [&](const api::Backfill* stored) -> Result<std::optional<api::Backfill>> {
                         if (stored == nullptr) return NoSuchBackfill(store, place, name);
                         api::Backfill backfill = *stored;
                         const bool changed = TRY(change(backfill));
                         if (!changed) return std::optional<api::Backfill>();
                         return std::optional<api::Backfill>(std::move(backfill));
                       });
}

}  // namespace backfill::cli
