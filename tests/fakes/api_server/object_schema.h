#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "operator/kube/client/api_error.h"

namespace backfill::fakes {

// What the schema of a CRD makes of an object.
struct SchemaVerdict {
  std::string object;                  // JSON, pruned, with defaults
  std::vector<std::string> unknown;    // fields that were dropped: "spec.colour"
  std::vector<kube::ApiCause> causes;  // why it is refused
};

// Thread-safe.
class ObjectSchema {
 public:
  virtual ~ObjectSchema() = default;
  // `before` is what the object replaces; empty: it is new.
  [[nodiscard]] virtual SchemaVerdict Judge(std::string_view object,
                                            std::string_view before) const = 0;
};

}  // namespace backfill::fakes
