#include "operator/reconcile/source_keys.h"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>

#include "operator/api/conditions.h"
#include "operator/api/decode.h"

namespace backfill::reconcile {
namespace {

// Shards of failed records are small, whatever the number of workers: that may change before a
// stage is opened, and the plan may not.
constexpr std::int64_t kRecordsPerShard = 1000;
constexpr int kMaxAncestors = 16;  // retries of retries

Error Refused(const std::string& what) {
  return {ErrorCode::kInvalid, "spec.source.failuresOf: " + what};
}

std::string NamespaceOf(const api::FailuresOfSource& source, const std::string& own) {
  return source.ns.empty() ? own : source.ns;
}

Result<api::Backfill> ReadOther(const api::FailuresOfSource& source, const std::string& own,
                                kube::ObjectStore& store) {
  const std::string ns = NamespaceOf(source, own);
  const auto object = store.Get({std::string(kube::kBackfillKind), ns, source.name});
  if (!object.ok() && object.error().code == ErrorCode::kNotFound) {
    return Refused("there is no Backfill " + source.name + " in namespace " + ns);
  }
  if (!object.ok()) return object.error().Annotate("reading " + source.name);
  return api::FromObject(*object);
}

// Whether the keys were numbers at first, so that a request says the same as it did then.
Result<bool> WereNumbers(api::Backfill other, kube::ObjectStore& store) {
  for (int i = 0; i < kMaxAncestors; ++i) {
    const auto* failures = std::get_if<api::FailuresOfSource>(&other.spec.source);
    if (failures == nullptr) return std::holds_alternative<api::RangeSource>(other.spec.source);
    const std::string ns = other.ns;
    const api::FailuresOfSource source = *failures;
    other = TRY(ReadOther(source, ns, store));
  }
  return Refused(other.name + " is the retry of too many retries");
}

bool IsWanted(const api::FailuresOfSource& source, const ledger::FailedRecord& record) {
  return source.classes.empty() ||
         std::ranges::count(source.classes, ledger::ToString(record.failure_class)) > 0;
}

}  // namespace

Result<api::Spec> ResolveSource(const api::Backfill& backfill, kube::ObjectStore& store,
                                const FailureReader& read) {
  api::Spec spec = backfill.spec;
  const auto* declared = std::get_if<api::FailuresOfSource>(&backfill.spec.source);
  if (declared == nullptr) return spec;
  const api::Backfill other = TRY(ReadOther(*declared, backfill.ns, store));
  if (std::holds_alternative<api::FileSource>(other.spec.source)) {
    return Refused(other.name +
                   " reads a file, and a failed row is more than its key; put the rows that failed "
                   "into a file of their own");
  }
  if (!api::HasEnded(other.status)) {
    return Refused(other.name + " has not ended; its failures are known only then");
  }
  const StageKey run{.ns = other.ns, .name = other.name, .uid = other.uid, .stage = Stage::kRun};
  api::KeysSource keys;
  for (const ledger::FailedRecord& record :
       TRY(read(run).Annotate("reading the failures of " + other.name))) {
    if (IsWanted(*declared, record)) keys.keys.push_back(record.key);
  }
  if (keys.keys.size() > api::kMaxRetriedKeys) {
    return Refused(other.name + " has " + std::to_string(keys.keys.size()) +
                   " failed records, at most " + std::to_string(api::kMaxRetriedKeys) +
                   " can be taken; name some of the classes");
  }
  keys.numeric = TRY(WereNumbers(other, store));
  spec.source = std::move(keys);
  if (!spec.sharding) spec.sharding = api::Sharding{kRecordsPerShard};
  return spec;
}

}  // namespace backfill::reconcile
