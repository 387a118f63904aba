#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace backfill::kube {

enum class HttpMethod { kGet, kPost, kPut, kPatch, kDelete };

std::string_view ToString(HttpMethod method);

struct HttpRequest {
  HttpMethod method = HttpMethod::kGet;
  std::string target = {};        // path and query as they go on the wire: /api/v1/pods?limit=500
  std::string content_type = {};  // of the body; must be set if there is one
  std::string body = {};
  std::string accept = {};  // the representations wanted; empty: application/json
  std::size_t max_response_bytes = std::size_t{4} << 20;
};

struct HttpResponse {
  int status = 0;
  std::string body = {};
  std::optional<std::chrono::milliseconds> retry_after =
      {};                                  // from seconds or a date; at most 60 s
  std::vector<std::string> warnings = {};  // the text of each Warning header
};

// How long a stream may live.
struct StreamLimits {
  Time deadline;  // for all of it
  Duration idle;  // between two lines, and until the first byte of the response
  std::size_t max_line_bytes = std::size_t{4} << 20;
};

// One server, reached over HTTP. The seam between the runtime and the network: what speaks TLS is
// RestTransport, what stands in for a whole API server is FakeApiServer.
//
// Thread-safe. A call blocks its own thread only, and returns by its deadline, or soon after `stop`
// is requested. A request is on the wire at most once per call unless it is a GET; no redirect is
// followed. Any complete response is a result, whatever its status.
//
// Of 401 alone an implementation may tell more than the server did.
//
// Errors: kUnavailable (not reached, or the connection was lost: whether a write happened is not
// known; also when more requests wait than are allowed to), kDeadline, kAborted (stopped), kInvalid
// (the response or a line is larger than allowed; the request cannot be sent as it is),
// kUnauthenticated (a certificate or a token that could not be read or has expired, or a server
// that could not show who it is).
class HttpTransport {
 public:
  virtual ~HttpTransport() = default;

  virtual Result<HttpResponse> Send(const HttpRequest& request, Time deadline,
                                    std::stop_token stop) = 0;

  // A response that goes on for minutes: with status 200, `on_line` gets each line without its line
  // break, on the calling thread, as soon as it is complete; a last line without a line break was
  // cut short and is not delivered. `on_line` returns false to end the stream. The result has the
  // body of any other status, and none of 200: then the stream has ended by the server's wish.
  virtual Result<HttpResponse> Stream(const HttpRequest& request, const StreamLimits& limits,
                                      std::stop_token stop,
                                      const std::function<bool(std::string_view)>& on_line) = 0;
};

}  // namespace backfill::kube
