#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/mutex.h"
#include "operator/kube/client/http_transport.h"

namespace backfill::cli {

// Passes calls on, and knows whether they get through: a watch that is tried again and again looks
// like one to which nothing happens. Thread-safe; the other transport and the clock must outlive
// it.
class LinkState final : public kube::HttpTransport {
 public:
  struct Problem {
    Error error;
    Time since;  // nothing has got through since then
    WallTime since_wall;
  };

  LinkState(kube::HttpTransport& to, const Clock& clock) : to_(to), clock_(clock) {}

  Result<kube::HttpResponse> Send(const kube::HttpRequest& request, Time deadline,
                                  std::stop_token stop) override;
  Result<kube::HttpResponse> Stream(const kube::HttpRequest& request,
                                    const kube::StreamLimits& limits, std::stop_token stop,
                                    const std::function<bool(std::string_view)>& on_line) override;

  // What stands in the way now; nothing: calls get through, or none has been made yet.
  [[nodiscard]] std::optional<Problem> problem() const;

 private:
  // A stream that has lasted for so long is one, also if nothing has come yet.
  static constexpr Duration kStands = std::chrono::seconds(2);

  void Note(const Result<kube::HttpResponse>& response);

  kube::HttpTransport& to_;
  const Clock& clock_;
  mutable Mutex mu_;
  std::optional<Problem> problem_ GUARDED_BY(mu_);
  std::optional<Time> streaming_since_ GUARDED_BY(mu_);
};

}  // namespace backfill::cli
