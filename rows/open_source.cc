#include "rows/open_source.h"

#include <array>
#include <string_view>
#include <utility>

#include "rows/compressed_source.h"
#include "rows/file_source.h"

namespace backfill::rows {

bool IsUrl(const std::string& path_or_url) {
  return path_or_url.starts_with("http://") || path_or_url.starts_with("https://");
}

std::string ShownPath(const std::string& path_or_url) {
  return IsUrl(path_or_url) ? ShownUrl(path_or_url) : path_or_url;
}

Result<std::unique_ptr<ByteSource>> OpenSource(const std::string& path_or_url,
                                               const HttpOptions& http,
                                               const std::stop_token& stop) {
  std::unique_ptr<ByteSource> source =
      TRY(IsUrl(path_or_url) ? HttpSource::Open(path_or_url, http, stop)
                             : FileSource::Open(path_or_url));
  std::array<char, 4> front{};
  std::size_t filled = 0;
  {
    const auto stream = TRY(source->Open(0, front.size(), stop));
    while (filled < front.size()) {
      const std::size_t n = TRY(stream->Read(std::span(front).subspan(filled), stop));
      if (n == 0) break;
      filled += n;
    }
  }
  if (const auto compression = DetectCompression({front.data(), filled}))
    return MakeCompressedSource(std::move(source), *compression);
  return source;
}

}  // namespace backfill::rows
