#pragma once

#include <string>

#include "tests/fakes/api_server/json_text.h"

namespace backfill::fakes {

// What a client wants to see of objects, by its Accept header. Pure.
enum class Representation {
  kWhole,
  kMetadata,      // of one object, or of each event: PartialObjectMetadata
  kMetadataList,  // PartialObjectMetadataList
};
Representation RepresentationOf(const std::string& accept);

Json PartialOf(const Json& object);

}  // namespace backfill::fakes
