#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "operator/certificates/ca_publisher.h"
#include "operator/certificates/certificate_keeper.h"
#include "tests/fakes/fake_api_server.h"

// A replica's certificates over an API server in this process.
namespace backfill::certificates {

using namespace std::chrono_literals;

// Of the system, and further on by what was added. The time of day may begin elsewhere.
class MovedClock final : public Clock {
 public:
  explicit MovedClock(Duration wall = Duration(0)) : wall_(wall) {}
  [[nodiscard]] Time Steady() const override { return system_.Steady() + moved_.load(); }
  [[nodiscard]] WallTime Wall() const override {
    return system_.Wall() + std::chrono::duration_cast<WallTime::duration>(wall_ + moved_.load());
  }
  void Move(Duration d) { moved_ = moved_.load() + d; }

 private:
  const Duration wall_;
  SystemClock system_;
  std::atomic<Duration> moved_{Duration(0)};
};

// Whatever it is waited for, by a clock that is moved: a moment.
inline void WaitAMoment(Time, std::stop_token stop) {
  Mutex mu;
  std::condition_variable_any never;
  MutexLock l(mu);
  never.wait_for(mu, stop, 5ms, [] { return false; });
}

class MayLead final : public coordinator::Leadership {
 public:
  [[nodiscard]] bool Valid(Time) const override { return leads; }
  std::atomic<bool> leads{false};
};

inline bool Comes(const std::function<bool()>& condition) {
  const auto until = std::chrono::steady_clock::now() + 30s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(2ms);
  }
  return true;
}

inline void InstallAsTheChart(fakes::FakeApiServer& server) {
  const std::string secret = R"({"metadata":{"name":"backfill-operator-tls"},"type":"Opaque"})";
  ASSERT_EQ(server.Do(kube::HttpMethod::kPost, "/api/v1/namespaces/default/secrets", secret).status,
            201);
}
inline std::string PublishedIn(fakes::FakeApiServer& server, const std::string& ns) {
  const auto map =
      nlohmann::json::parse(server
                                .Do(kube::HttpMethod::kGet,
                                    "/api/v1/namespaces/" + ns + "/configmaps/backfill-operator-ca")
                                .body);
  return map.contains("data") ? map["data"].value("ca.crt", "") : "";
}

// What a replica has, with its threads.
struct KeptReplica {
  KeptReplica(fakes::FakeApiServer& server, const Clock& clock, bool leads,
              const CertificatePolicy& policy = {}, const std::string& host = "localhost")
      : api(server, nullptr) {
    leadership.leads = leads;
    keeper = std::make_unique<CertificateKeeper>(
        server, api, clock, leadership,
        CertificateKeeperOptions{
            .certificates = {.secret = {.ns = "default", .name = "backfill-operator-tls"},
                             .names = Names(host),
                             .policy = policy,
                             .published_for =
                                 [this](const std::string& bundle) {
                                   return publisher->PublishedFor(bundle);
                                 }},
            .watch = {.wait = WaitAMoment},
            .wait = WaitAMoment});
    publisher = std::make_unique<CaPublisher>(api, clock, *keeper, leadership,
                                              CaPublisherOptions{.wait = WaitAMoment});
    keeper->Start();
    publisher->Start();
  }
  ~KeptReplica() {  // the publisher uses the keeper, and the keeper's thread the publisher
    publisher->Stop();
    keeper->Stop();
  }
  static std::vector<std::string> Names(const std::string& host) {
    std::vector<std::string> names = ServerNames("backfill-coordinator", "default");
    names.push_back(host);
    return names;
  }
  [[nodiscard]] std::string Chain() const {
    const auto current = keeper->Current();
    return current == nullptr ? "" : current->chain;
  }

  kube::ApiClient api;
  MayLead leadership;
  std::unique_ptr<CertificateKeeper> keeper;
  std::unique_ptr<CaPublisher> publisher;
};

}  // namespace backfill::certificates
