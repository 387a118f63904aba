#include "tests/fakes/api_server/representation.h"

namespace backfill::fakes {

Representation RepresentationOf(const std::string& accept) {
  // The first that is acceptable counts; what else it would take does not.
  const std::string first = accept.substr(0, accept.find(','));
  if (first.find(";as=PartialObjectMetadataList;") != std::string::npos) {
    return Representation::kMetadataList;
  }
  if (first.find(";as=PartialObjectMetadata;") != std::string::npos) {
    return Representation::kMetadata;
  }
  return Representation::kWhole;
}

Json PartialOf(const Json& object) {
  return {{"kind", "PartialObjectMetadata"},
          {"apiVersion", "meta.k8s.io/v1"},
          {"metadata", object.value("metadata", Json::object())}};
}

}  // namespace backfill::fakes
