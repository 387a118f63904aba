#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tests/fakes/api_server/failure.h"

namespace backfill::fakes {

// Whether the parts of an object have the types that they must have to be read at all; what comes
// after may rely on it.
bool HasShape(const Json& object);

// What every object's metadata must be like, as the API server checks it.
std::vector<kube::ApiCause> CheckMeta(const Json& object);

// A DNS subdomain of at most 253 characters.
bool IsObjectName(std::string_view name);

// Five characters that spell no words, as the API server appends to a generateName.
std::string RandomSuffix(std::uint64_t random);
// As a UUID, version 4.
std::string UidOf(std::uint64_t high, std::uint64_t low);

}  // namespace backfill::fakes
