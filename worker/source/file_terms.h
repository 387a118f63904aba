#pragma once

#include <vector>

#include "backfill/v1/workload.pb.h"
#include "base/result.h"
#include "base/secret_headers.h"
#include "rows/format.h"
#include "rows/http_source.h"

namespace backfill::worker {

// How the coordinator says a file is to be read, in the terms of who reads it. Pure.

// kInvalid: a format that this worker does not know.
Result<rows::FileFormat> FormatOf(const v1::FileSource& file);
// How it is reached, if it is behind a URL.
rows::HttpOptions HttpOptionsOf(const v1::FileSource& file);

std::vector<SecretHeader> SecretsOf(
    const google::protobuf::RepeatedPtrField<v1::SecretHeader>& headers);

}  // namespace backfill::worker
