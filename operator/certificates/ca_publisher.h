#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/result.h"
#include "operator/certificates/ca_bundle.h"
#include "operator/coordinator/leadership.h"
#include "operator/kube/cache/informer.h"
#include "operator/kube/client/api_client.h"

namespace backfill::certificates {

inline constexpr std::string_view kCaConfigMap = "backfill-operator-ca";
inline constexpr std::string_view kCaKey = "ca.crt";

struct CaPublisherOptions {
  Duration call_timeout = std::chrono::seconds(10);
  // A ConfigMap that somebody has deleted or edited is mended when it is asked for after this time.
  Duration look_again = std::chrono::minutes(5);
  Duration refresh_every = std::chrono::seconds(1);  // whether the bundle is another one
  Duration longest_wait = std::chrono::seconds(60);  // for a namespace that refuses
  std::size_t max_namespaces = 10'000;               // that are remembered
  kube::WaitFunction wait = kube::WaitOnThread;      // with `clock`, as of an Informer
};

// Brings the authorities into every namespace with workers: ConfigMap backfill-operator-ca, which
// their pods mount. One that is not ours (no label app.kubernetes.io/managed-by: backfill-operator)
// is never written.
//
// Thread-safe. References outlive it. One thread, between Start and Stop, brings a new bundle to
// the namespaces that it knows of, while this process leads.
class CaPublisher {
 public:
  CaPublisher(const kube::ApiClient& api, const Clock& clock, const CaBundle& bundle,
              const coordinator::Leadership& leadership, CaPublisherOptions options = {});
  ~CaPublisher() { Stop(); }
  CaPublisher(const CaPublisher&) = delete;
  CaPublisher& operator=(const CaPublisher&) = delete;

  void Start();
  void Stop();

  // To be asked for in each reconcile of a Backfill that has workers or is to have some: it costs
  // nothing while the namespace has the bundle, and a new leader learns so where workers are.
  // kConflict: the name is taken by somebody else's ConfigMap (NameConflict). kUnavailable: there
  // is no certificate yet, or the API server is away, which is no failure where the bundle was seen
  // before. kPermission, kInvalid, ..: what it refused.
  Status Publish(const std::string& ns, const std::stop_token& stop = {});

  // How long every namespace that is known has had this bundle; nullopt: not all have.
  [[nodiscard]] std::optional<Duration> PublishedFor(const std::string& bundle) const;

  // Brings the bundle to those who have another and whose time to try again has come. Returns when
  // each was tried once.
  void Refresh(const std::stop_token& stop);

 private:
  using BundlePtr = std::shared_ptr<const std::string>;
  struct Known {
    BundlePtr has;  // null: not known
    std::optional<Time>
        changed_at;  // when pods that had another were told; absent: there were none
    Time looked_at{};
    Time try_at{};
    Duration wait{0};  // after the last failure
  };

  Status Bring(const std::string& ns, const BundlePtr& bundle, const std::stop_token& stop);
  enum class Outcome { kWasThere, kMade, kChanged, kTryAgain };
  Result<Outcome> TryOnce(const std::string& ns, const std::string& bundle,
                          const std::stop_token& stop);
  void Remember(const std::string& ns, const BundlePtr& bundle, Outcome outcome);
  void RememberFailure(const std::string& ns, const Error& error);

  // ---- constant
  const kube::ApiClient& api_;
  const Clock& clock_;
  const CaBundle& source_;
  const coordinator::Leadership& leadership_;
  const CaPublisherOptions options_;

  mutable Mutex mu_;
  std::map<std::string, Known> known_ GUARDED_BY(mu_);

  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace backfill::certificates
