#pragma once

#include <memory>
#include <stop_token>
#include <string>

#include "base/result.h"
#include "rows/byte_source.h"
#include "rows/http_source.h"

namespace backfill::rows {

// A local path or an http(s) URL; gzip and zstd are noticed by their first bytes and decompressed.
// Errors: as FileSource and HttpSource.
Result<std::unique_ptr<ByteSource>> OpenSource(const std::string& path_or_url,
                                               const HttpOptions& http,
                                               const std::stop_token& stop);

bool IsUrl(const std::string& path_or_url);
// As messages name it: a URL without what may be secret in it.
std::string ShownPath(const std::string& path_or_url);

}  // namespace backfill::rows
