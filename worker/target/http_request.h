#pragma once

#include <string>
#include <utility>

#include "base/result.h"
#include "worker/target/renderer.h"

namespace backfill::worker {

// The two kinds of request that an HttpSender takes. Which code can make which is the guarantee
// that a dry run has no way to write: there is no third way to give a sender something to send.

// May change the target. Only RunTarget makes it.
class WriteRequest {
 public:
  [[nodiscard]] const Renderer& renderer() const { return renderer_; }

 private:
  friend class RunTarget;
  explicit WriteRequest(Renderer renderer) : renderer_(std::move(renderer)) {}
  Renderer renderer_;
};

enum class DeclaredEffects { kUnknown, kNone };

// Changes nothing at the target: GET or HEAD, or declared without side effects by the user.
class SafeRequest {
 public:
  static Result<SafeRequest> From(Renderer renderer, DeclaredEffects effects) {
    if (renderer.method() != "GET" && renderer.method() != "HEAD" &&
        effects != DeclaredEffects::kNone) {
      return Error{ErrorCode::kInvalid,
                   "a dry run's request must be GET or HEAD, or declared without side effects"};
    }
    return SafeRequest(std::move(renderer));
  }
  [[nodiscard]] const Renderer& renderer() const { return renderer_; }

 private:
  explicit SafeRequest(Renderer renderer) : renderer_(std::move(renderer)) {}
  Renderer renderer_;
};

}  // namespace backfill::worker
