#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>

#include "base/clock.h"
#include "operator/certificates/certificate_secret.h"
#include "operator/kube/cache/informer.h"
#include "operator/kube/client/api_client.h"
#include "operator/kube/client/http_transport.h"

namespace backfill::certificates {

struct SecretWatchOptions {
  Duration call_timeout = std::chrono::seconds(10);
  std::uint64_t seed = 0;  // of the jitter: different in every process
  kube::WaitFunction wait = kube::WaitOnThread;
};

// Follows one Secret by its name, with a role that has no `list`: a role that names its objects can
// give `get` and `watch`, and an Informer would list. So each round gets the object and then
// watches from whatever is the newest; a watch that says no version begins with the object itself.
//
// R2: 240 to 290 s a watch, given up 5 s later. R4: a Retry-After is obeyed, up to 60 s. R5: 800 ms
// x 2 to 30 s after a failure, or after a watch of less than a second; from the first again after
// 2 healthy minutes. The transport is one for watches (R34).
//
// One thread, which calls `seen` without a lock: the Secret, or null if it is not there. Failures
// are logged once until one succeeds, and waited out. References outlive it.
class SecretWatch {
 public:
  using Seen = std::function<void(std::shared_ptr<const CertificateSecret>)>;

  SecretWatch(kube::HttpTransport& transport, const Clock& clock, kube::ObjectKey secret, Seen seen,
              SecretWatchOptions options);
  ~SecretWatch() { Stop(); }
  SecretWatch(const SecretWatch&) = delete;
  SecretWatch& operator=(const SecretWatch&) = delete;

  void Start();
  void Stop();  // idempotent

 private:
  void Run(const std::stop_token& stop);
  bool Get(const std::stop_token& stop);
  bool Watch(const std::stop_token& stop);
  bool OnLine(std::string_view line);
  void Note(std::string_view problem);
  void Note(const kube::ApiError& error);
  [[nodiscard]] Duration NextWait();

  // ---- constant
  kube::HttpTransport& transport_;
  const Clock& clock_;
  const kube::ObjectKey secret_;
  const Seen seen_;
  const SecretWatchOptions options_;
  const kube::ApiClient api_;

  // ---- of the thread
  std::mt19937_64 random_;
  int failures_ = 0;           // in a row
  Duration asked_to_wait_{0};  // by the server, after the last failure
  bool noted_ = false;

  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace backfill::certificates
