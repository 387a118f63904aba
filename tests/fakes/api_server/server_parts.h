#pragma once

#include <algorithm>
#include <chrono>

#include "tests/fakes/api_server/open_stream.h"
#include "tests/fakes/fake_api_server.h"

// What the sources of the fake API server share among themselves.
namespace backfill::fakes {

// What becomes of a call before the server looks at it.
struct FakeApiServer::Gate {
  std::optional<Error> error;
  std::optional<kube::HttpResponse> response;
  std::optional<Fault> fault;  // takes effect after the call
};

// Until the condition holds, the clock has reached `until`, or a stop is requested.
template <typename Condition>
bool FakeApiServer::WaitUntil(Time until, const std::stop_token& stop, Condition condition) {
  if (manual_ == nullptr) return changed_.wait_until(mu_, stop, until, condition);
  bool holds = false;
  changed_.wait(mu_, stop, [&]() REQUIRES(mu_) {
    holds = condition();
    return holds || clock_.Steady() >= until;
  });
  return holds;
}

// For tests that wait for what another thread does: by real time, and not for ever.
template <typename Condition>
bool FakeApiServer::AwaitForReal(Condition condition) {
  MutexLock l(mu_);
  return changed_.wait_for(mu_, std::chrono::seconds(30), condition);
}

template <typename F>
void FakeApiServer::ForStreams(const std::string& plural, F f) {
  MutexLock l(mu_);
  for (OpenStream* stream : streams_) {
    if (plural.empty() || stream->kind->plural == plural) f(*stream);
  }
  Wake();
}

}  // namespace backfill::fakes
