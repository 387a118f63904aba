#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "operator/kube/client/api_object.h"

// R31: whether a server knows the fields that are to be written. What its CRD does not have it
// drops, with a warning and nothing else, so that an operator which is newer than the CRD loses
// what it remembers. Pure.
namespace backfill::kube {

// Where a server describes the kinds of a group and version; whoever may discover may read it.
std::string OpenApiPath(const ResourceType& type);

// Those of `fields` that are not in the kind's schema in `openapi`, the document from there, in the
// order given. A field is its names joined by dots: spec.throttle.maxRecordsPerSecond. Lists have
// no name of their own (status.conditions.type); of a map any name is a key
// (metadata.labels.team). What a schema keeps without knowing it is not missing.
//
// kNotFound: the document does not have the kind; so it is for some seconds after a CRD was
// installed, and after it was changed the document is the older one for as long. kInvalid: it is
// no such document.
Result<std::vector<std::string>> MissingFields(std::string_view openapi, const ResourceType& type,
                                               const std::vector<std::string>& fields);

}  // namespace backfill::kube
