#include "operator/observe/credential_name.h"

#include <algorithm>

namespace backfill::observe {

Status CheckCredentialName(const std::string& name) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  };
  const bool good = name.size() <= 63 && std::ranges::all_of(name, fits) &&
                    !name.starts_with('-') && !name.ends_with('-');
  if (good) return Ok{};
  return Error{ErrorCode::kInvalid,
               "credentials: must be a name of small letters, digits and '-', at most 63, as the "
               "operator was given it"};
}

}  // namespace backfill::observe
