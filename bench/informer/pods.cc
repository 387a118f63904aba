#include "bench/informer/pods.h"

#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "operator/kube/client/rest_transport.h"

namespace backfill::kube {
namespace {

using namespace std::chrono_literals;

constexpr int kAtOnce = 16;  // what a transport has under way; the server is the limit

constexpr std::string_view kPod = R"({{"metadata":{{"name":"worker-{0:05}","labels":{{
"app.kubernetes.io/name":"backfill-worker","app.kubernetes.io/component":"run",
"app.kubernetes.io/managed-by":"backfill-operator","backfill.dev/backfill-name":"orders",
"backfill.dev/stage":"run","batch.kubernetes.io/job-completion-index":"{0}"}}}},
"spec":{{"restartPolicy":"Never","automountServiceAccountToken":false,
"containers":[{{"name":"worker","image":"localhost/backfill/worker:1","env":[
{{"name":"BACKFILL_NAME","value":"orders"}},{{"name":"BACKFILL_STAGE","value":"run"}},
{{"name":"BACKFILL_POD_NAME","valueFrom":{{"fieldRef":{{"fieldPath":"metadata.name"}}}}}},
{{"name":"BACKFILL_POD_UID","valueFrom":{{"fieldRef":{{"fieldPath":"metadata.uid"}}}}}}],
"volumeMounts":[{{"name":"backfill-identity","mountPath":"/var/run/secrets/backfill.dev",
"readOnly":true}}]}}],
"volumes":[{{"name":"backfill-identity","projected":{{"sources":[{{"serviceAccountToken":
{{"audience":"backfill-operator","expirationSeconds":3600,"path":"token"}}}}]}}}}]}}}})";

HttpRequest Write(HttpMethod method, std::string target, std::string body) {
  return {.method = method,
          .target = std::move(target),
          .content_type =
              method == HttpMethod::kPatch ? "application/merge-patch+json" : "application/json",
          .body = std::move(body)};
}

// What is there already is as good as made.
Status Send(HttpTransport& transport, const Clock& clock, const HttpRequest& request) {
  const HttpResponse response =
      TRY(transport.Send(request, clock.Steady() + 30s, {}).Annotate(request.target));
  if (response.status / 100 == 2 || response.status == 409) return Ok{};
  return Error{ErrorCode::kInternal, fmt::format("{}: {} {}", request.target, response.status,
                                                 response.body.substr(0, 500))};
}

// The requests of 0 to n-1, some at a time. The first error ends it.
Status InParallel(const ServerAccess& access, long n,
                  const std::function<HttpRequest(long i)>& request) {
  const SystemClock clock;
  const auto transport = TRY(Connect(access, "informer-load", clock));
  std::atomic<long> next = 0;
  Mutex mu;
  std::optional<Error> failed;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kAtOnce; ++t) {
      threads.emplace_back([&] {
        for (long i = next++; i < n; i = next++) {
          const Status sent = Send(*transport, clock, request(i));
          if (sent.ok()) continue;
          next = n;
          MutexLock l(mu);
          if (!failed) failed = sent.error();
        }
      });
    }
  }
  if (failed) return *failed;
  return Ok{};
}

}  // namespace

Status Pods::Create(long n) const {
  const SystemClock clock;
  const auto transport = TRY(Connect(access_, "informer-load", clock));
  const std::string space = "/api/v1/namespaces/" + ns_;
  TRY(Send(*transport, clock,
           Write(HttpMethod::kPost, "/api/v1/namespaces",
                 fmt::format(R"({{"metadata":{{"name":"{}"}}}})", ns_))));
  // Admission wants the account, which a controller makes in its own time.
  TRY(Send(
      *transport, clock,
      Write(HttpMethod::kPost, space + "/serviceaccounts", R"({"metadata":{"name":"default"}})")));
  return InParallel(access_, n, [&](long i) {
    return Write(HttpMethod::kPost, space + "/pods", fmt::format(kPod, i));
  });
}

Status Pods::Touch(long events, long n) const {
  const SystemClock clock;  // a value that is there already would be no event
  const auto begin = clock.Wall().time_since_epoch().count();
  return InParallel(access_, events, [&](long i) {
    return Write(HttpMethod::kPatch,
                 fmt::format("/api/v1/namespaces/{}/pods/worker-{:05}", ns_, i % n),
                 fmt::format(R"({{"metadata":{{"labels":{{"touched":"{}"}}}}}})", begin + i));
  });
}

}  // namespace backfill::kube
