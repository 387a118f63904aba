#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "operator/kube/client/http_transport.h"

namespace backfill::kube {

// An API server with the CRDs of this project, the fake or a real one; a test does not see which.
class ApiServerUnderTest {
 public:
  virtual ~ApiServerUnderTest() = default;
  [[nodiscard]] virtual HttpTransport& transport() = 0;
  [[nodiscard]] virtual const Clock& clock() = 0;
  // Called while a test waits for the server: the fake's time passes only here.
  virtual void LetTimePass() = 0;
};

struct ServerKind {
  std::string name;
  // null: there is none, `why_not` says why.
  std::function<std::unique_ptr<ApiServerUnderTest>(std::string& why_not)> make;
};
// The fake in one binary, the server that BACKFILL_TEST_KUBECONFIG names in another.
ServerKind ServerOfThisBinary();

// What came back, with the body parsed.
struct Reply {
  int status = 0;
  nlohmann::json body;
  std::vector<std::string> warnings;
  std::optional<std::chrono::milliseconds> retry_after;

  [[nodiscard]] std::string Text(const std::string& pointer) const;  // "/metadata/name"
  [[nodiscard]] bool Has(const std::string& pointer) const;
};

// A watch on a thread of its own. Stops when it goes.
class WatchReader {
 public:
  WatchReader(ApiServerUnderTest& server, std::string target, std::string accept = {});
  ~WatchReader();
  // The next event but bookmarks (unless asked for); fails the test after 30 s.
  nlohmann::json Next(bool bookmarks = false);
  // Nothing but bookmarks has come so far.
  [[nodiscard]] bool Silent();
  // How it ended.
  Result<HttpResponse> End();
  void Stop() { stop_.request_stop(); }

 private:
  ApiServerUnderTest& server_;
  const HttpRequest request_;
  std::stop_source stop_;
  Mutex mu_;
  std::condition_variable_any changed_;
  std::deque<nlohmann::json> events_ GUARDED_BY(mu_);
  std::optional<Result<HttpResponse>> end_ GUARDED_BY(mu_);
  std::jthread thread_;  // last: it uses the rest
};

}  // namespace backfill::kube
