#pragma once

#include <cstdint>
#include <map>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace backfill::kube {

// The kinds that the product stores.
inline constexpr std::string_view kBackfillKind = "Backfill";
inline constexpr std::string_view kLedgerKind = "BackfillLedger";
inline constexpr std::string_view kConfigMapKind = "ConfigMap";

struct ObjectRef {
  std::string kind;
  std::string ns;
  std::string name;
  auto operator<=>(const ObjectRef&) const = default;
};

// An API object as it stands in the store. Bodies are JSON text; whoever knows the kind decodes it.
struct Object {
  ObjectRef ref;
  std::string uid;               // set by the store on creation
  std::string resource_version;  // set by the store; opaque, compared for equality only
  std::int64_t generation = 0;   // set by the store: 1, then + 1 whenever `content` changes
  std::string creation_time;     // RFC 3339, set by the store
  std::map<std::string, std::string> annotations;
  std::map<std::string, std::string> labels;
  // Set by an API server alone, which keeps an object that is deleted for as long as somebody's
  // finalizer is there. Writes of a store change neither: they leave both as they are.
  std::vector<std::string> finalizers;
  std::string deletion_time;  // RFC 3339; empty unless it is being deleted
  std::string owner_uid;      // empty: none. Deleting an owner deletes what it owns.
  std::string
      content;  // JSON object: all top-level fields but apiVersion, kind, metadata and status
  std::string status;  // JSON object, or empty
};

// How much a returned write has survived.
enum class Durability {
  kProcess,  // the death of every process of ours
  kPower,    // loss of power, too
};

// A store of API objects with optimistic concurrency: the API server, a SQLite file, or memory.
// Thread-safe. Every call is bounded in time by the implementation.
// Errors: kNotFound, kConflict (another version, or the name is taken), kInvalid (too large, bad
// name), kUnavailable (try again; the write may have happened), kInternal (the store is damaged;
// the message names the file).
class ObjectStore {
 public:
  virtual ~ObjectStore() = default;

  virtual Result<Object> Get(const ObjectRef& ref) = 0;

  // All objects of a kind in a namespace ("": all), ordered by namespace and name.
  virtual Result<std::vector<Object>> List(std::string_view kind, std::string_view ns) = 0;

  // Stores a new object. Its uid, version, generation, creation time are made here; `status` is
  // dropped, as an API server does. kConflict when the name is taken.
  virtual Result<Object> Create(const Object& object, Durability durability) = 0;

  // Replaces annotations, labels and content if object.resource_version is the current one; status
  // stays as it is. An update that changes nothing returns the object with its old version.
  virtual Result<Object> Update(const Object& object, Durability durability) = 0;

  // Replaces the status only, under the same condition.
  virtual Result<Object> UpdateStatus(const Object& object, Durability durability) = 0;

  // Deletes if the uid is still `uid` ("": whichever), with all it owns.
  virtual Status Delete(const ObjectRef& ref, std::string_view uid) = 0;

  // A number that grows with every change by anyone, other processes included. Returns as soon as
  // it differs from `seen`, or at `deadline`, or on stop, whichever is first. Notices a change
  // within 100 ms.
  virtual Result<std::uint64_t> WaitForChange(std::uint64_t seen, Time deadline,
                                              std::stop_token stop) = 0;
};

}  // namespace backfill::kube
