#include "operator/certificates/certificate_keeper.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace backfill::certificates {

CertificateKeeper::CertificateKeeper(kube::HttpTransport& watches, const kube::ApiClient& api,
                                     const Clock& clock, const coordinator::Leadership& leadership,
                                     CertificateKeeperOptions options)
    : clock_(clock),
      options_(std::move(options)),
      certificates_(api, clock, leadership, options_.certificates),
      watch_(
          watches, clock, options_.certificates.secret,
          [this](std::shared_ptr<const CertificateSecret> secret) {
            certificates_.Observe(std::move(secret));
          },
          options_.watch) {}

void CertificateKeeper::Start() {
  watch_.Start();
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
  pthread_setname_np(thread_.native_handle(), "bf-certificates");
}

void CertificateKeeper::Stop() {
  if (thread_.joinable()) {
    thread_.request_stop();
    thread_.join();
  }
  watch_.Stop();
}

void CertificateKeeper::Run(const std::stop_token& stop) {
  Duration wait = options_.look_every;
  while (!stop.stop_requested()) {
    // The watch says why it has seen nothing.
    const Status renewed = HasSynced() ? certificates_.Renew(stop) : Ok{};
    if (stop.stop_requested()) return;
    if (renewed.ok()) {
      wait = options_.look_every;
    } else {
      wait = std::min(wait * 2, options_.longest_wait);
      // What the watch brings in a moment is no failure.
      const bool expected = renewed.error().code == ErrorCode::kConflict ||
                            renewed.error().code == ErrorCode::kAborted;
      Log(expected ? LogLevel::kInfo : LogLevel::kWarning, "the certificates are not renewed yet",
          {{"error", renewed.error().message}});
    }
    options_.wait(clock_.Steady() + wait, stop);
  }
}

}  // namespace backfill::certificates
