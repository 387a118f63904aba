#pragma once

#include <string>
#include <vector>

#include "cli/environment.h"
#include "cli/place.h"
#include "operator/api/backfill.h"

namespace backfill::cli {

struct RetryOptions {
  std::string name;
  std::string file;  // to be made; - is stdout
  std::string new_name;
  std::vector<std::string> classes;  // of failures; none: all
  Place place;
};

// Makes the file of a new backfill of the records that failed in one that has ended. Changes no
// state, and no file that is there.
int RunRetry(const RetryOptions& options, const Environment& env);

// A dry run of the records of `ended` that failed, otherwise as it was. Pure.
api::Backfill MakeRetry(const api::Backfill& ended, const std::string& name,
                        const std::vector<std::string>& classes);

}  // namespace backfill::cli
