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

// A cluster has namespaces, a directory mostly one.
std::string WhereText(const Place& place) {
  const std::string ns = Printable(place.Namespace());
  if (place.cluster) return "namespace " + ns;
  const std::string where = Printable(place.state_dir);
  return place.Namespace() == kDefaultNamespace ? where : where + ", namespace " + ns;
}

Error NoSuchBackfill(kube::ObjectStore& store, const Place& place, const std::string& name) {
  const std::string text =
      fmt::format("no backfill \"{}\" in {}", Printable(name), WhereText(place));
  auto all = store.List(kube::kBackfillKind, "");
  if (!all.ok() && all.error().code == ErrorCode::kNotFound) return all.error();  // no such kind
  // Not everybody may look into every namespace.
  if (!all.ok() && place.cluster) all = store.List(kube::kBackfillKind, place.Namespace());
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
  return {ErrorCode::kNotFound,
          fmt::format("{}; see what there is: {} status", text, ProgramText(place.called_as))};
}

// What has become of the annotations.
std::map<std::string, std::optional<std::string>> ChangedAnnotations(const api::Backfill& from,
                                                                     const api::Backfill& to) {
  std::map<std::string, std::optional<std::string>> changed;
  for (const auto& [name, text] : from.annotations)
    if (!to.annotations.contains(name)) changed[name] = std::nullopt;
  for (const auto& [name, text] : to.annotations) {
    const auto before = from.annotations.find(name);
    if (before == from.annotations.end() || before->second != text) changed[name] = text;
  }
  return changed;
}

// How often one writes again what somebody else was faster to change. A runner writes the status
// twice a second, an operator less: one more try is rare, two are luck.
constexpr int kMaxTries = 20;

Error ChangedEachTime(const std::string& name) {
  return {ErrorCode::kConflict,
          fmt::format("writing {}: someone else changed it each of {} times; try again", name,
                      kMaxTries)};
}

Result<api::Backfill> ChangeOnCluster(Cluster& cluster, const Place& place, const std::string& name,
                                      const EditBackfill& change) {
  for (int i = 0; i < kMaxTries; ++i) {
    const api::Backfill stored = TRY(ReadBackfill(cluster, place, name));
    api::Backfill backfill = stored;
    const bool changed = TRY(change(backfill));
    if (!changed) return stored;
    const Result<kube::Object> written = cluster.PatchAnnotations(
        RefOf(place, name), stored.resource_version, ChangedAnnotations(stored, backfill));
    if (written.ok()) return api::FromObject(*written).Annotate("reading " + name);
    if (written.error().code != ErrorCode::kConflict)
      return written.error().Annotate("changing " + name);
  }
  return ChangedEachTime(name);
}

}  // namespace

std::optional<RunBy> OpenState::RunnerOf(std::string_view ns, std::string_view name) const {
  if (!dir) return RunBy(ClusterOperator{});
  const std::optional<RunnerInfo> process = FindRunner(dir->RunnerLock(ns, name));
  return process ? std::optional<RunBy>(*process) : std::nullopt;
}

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
  if (place.cluster) {
    Connection connection = TRY(env.connect(*place.cluster));
    Place there = place;
    const std::string& ns = connection.facts.ns;
    if (!ns.empty() && !IsName(ns) && !place.ns) {
      return Error{ErrorCode::kInvalid,
                   fmt::format("\"{}\", of the context, cannot be the name of a namespace", ns)};
    }
    if (IsName(ns)) there.usual_ns = ns;
    auto cluster = std::make_unique<Cluster>(std::move(connection), env.clock);
    Cluster* const known = cluster.get();
    return OpenState{
        .place = std::move(there), .dir = {}, .store = std::move(cluster), .cluster = known};
  }
  StateDir dir = TRY(StateDir::Find(place.state_dir));
  auto store = TRY(env.open_store(dir.Database(), access).Annotate("opening the state"));
  return OpenState{
      .place = place, .dir = std::move(dir), .store = std::move(store), .cluster = nullptr};
}

Result<api::Backfill> ReadBackfill(kube::ObjectStore& store, const Place& place,
                                   const std::string& name) {
  if (!IsName(name)) return NoName(name);
  Result<kube::Object> object = store.Get(RefOf(place, name));
  if (!object.ok() && object.error().code == ErrorCode::kNotFound)
    return NoSuchBackfill(store, place, name);
  if (!object.ok()) return object.error().Annotate("reading " + name);
  Result<api::Backfill> read = api::FromObject(*object);
  if (read.ok() || !place.cluster) return std::move(read).Annotate("reading " + name);
  // What is stored has passed the server's schema: it is ours that is another.
  return Error{
      read.error().code,
      fmt::format("{}; is this program older than the cluster's operator?", read.error().message)};
}

Result<Listing> ListBackfills(kube::ObjectStore& store, const Place& place) {
  // As kubectl has it; a state directory is small, so there all is shown.
  const bool one = place.ns || (place.cluster && !place.all_namespaces);
  const std::vector<kube::Object> objects =
      TRY(store.List(kube::kBackfillKind, one ? place.Namespace() : ""));
  Listing listing;
  listing.backfills.reserve(objects.size());
  for (const kube::Object& o : objects) {
    Result<api::Backfill> read = api::FromObject(o);
    if (read.ok()) {
      listing.backfills.push_back(std::move(read).value());
    } else {
      listing.problems.push_back(read.error().message);
    }
  }
  return listing;
}

Result<api::Backfill> WriteBackfill(kube::ObjectStore& store, const kube::ObjectRef& ref,
                                    const DecideBackfill& decide) {
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
  return ChangedEachTime(ref.name);
}

Result<api::Backfill> ChangeBackfill(OpenState& state, const Place& place, const std::string& name,
                                     const EditBackfill& change) {
  if (!IsName(name)) return NoName(name);
  if (state.cluster != nullptr) return ChangeOnCluster(*state.cluster, place, name, change);
  kube::ObjectStore& store = *state.store;
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
