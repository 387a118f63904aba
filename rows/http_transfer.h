#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/result.h"
#include "rows/http_source.h"

namespace backfill::rows {

// The head of a reply; of redirects the last one.
struct HttpReply {
  int status = 0;
  std::string etag = {};
  std::string last_modified = {};
  std::optional<std::uint64_t> content_length = std::nullopt;
  // Of Content-Range: "bytes 5-9/20" or "bytes */20".
  std::optional<std::uint64_t> range_begin = std::nullopt;
  std::optional<std::uint64_t> range_total = std::nullopt;
};

// One GET at a time whose body is pulled: what is not read stays in the socket. Keeps its
// connection for the next one. One thread.
class HttpTransfer {
 public:
  // kInternal: libcurl cannot be loaded, or does not start.
  static Result<std::unique_ptr<HttpTransfer>> Make();
  ~HttpTransfer();

  // Begins a request, and ends the one before. `range`: as in the header ("5-9", "5-"), or empty.
  // `headers`: further ones, each with CR LF.
  void Start(const std::string& url, const std::string& range, std::string_view headers,
             const HttpOptions& options);

  // Waits for the head. kUnavailable, kInvalid (a URL that is none), kAborted.
  Result<HttpReply> Head(const std::stop_token& stop);

  // Some of the body; 0 at its end. kUnavailable (also if it is shorter than announced), kAborted.
  Result<std::size_t> Read(std::span<char> into, const std::stop_token& stop);

  // The reply was read to its end, so the connection can be used again.
  [[nodiscard]] bool finished() const;

 private:
  struct Curl;
  explicit HttpTransfer(std::unique_ptr<Curl> curl);
  Status Drive(const std::stop_token& stop);

  const std::unique_ptr<Curl> curl_;
};

}  // namespace backfill::rows
