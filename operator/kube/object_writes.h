#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/clock.h"
#include "base/result.h"
#include "operator/kube/object_store.h"

// What a write makes of an object: the rules that every store of ours shares, free of storage.
// Thread-safe (no state).
namespace backfill::kube {

// Of one object with all its parts, as etcd has it for a request.
inline constexpr std::size_t kMaxObjectBytes = std::size_t{1536} * 1024;

// "Backfill shop/reprice", for messages. Control characters of hostile names are replaced.
std::string Describe(const ObjectRef& ref);

// The object as created: new uid, generation 1, no status, no finalizer. kInvalid: bad name, text
// that is not UTF-8 or has a NUL, or too large.
Result<Object> MakeCreated(const Object& wanted, std::uint64_t version, WallTime now);

// `current` with the annotations, labels and content of `wanted`. nullopt: nothing would change.
// kConflict: `wanted` was made from another version. kInvalid as above.
Result<std::optional<Object>> MakeUpdated(const Object& current, const Object& wanted,
                                          std::uint64_t version);

// The same for the status.
Result<std::optional<Object>> MakeStatusUpdated(const Object& current, const Object& wanted,
                                                std::uint64_t version);

Error NotFound(const ObjectRef& ref);
Error NameTaken(const ObjectRef& ref);
// Of a delete that meant another object under the same name.
Error OtherUid(const ObjectRef& ref);

}  // namespace backfill::kube
