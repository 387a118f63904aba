#include "operator/certificates/secret_certificates.h"

#include <fmt/format.h>

#include <utility>

#include "base/log.h"
#include "operator/kube/cache/resource_version.h"

namespace backfill::certificates {
namespace {

// A start is two steps, a renewal of the authority three, minutes apart.
constexpr int kMaxStepsAtOnce = 4;

}  // namespace

SecretCertificates::SecretCertificates(const kube::ApiClient& api, const Clock& clock,
                                       const coordinator::Leadership& leadership,
                                       SecretCertificatesOptions options)
    : api_(api), clock_(clock), leadership_(leadership), options_(std::move(options)) {}

void SecretCertificates::Observe(SecretPtr secret) {
  // Parsing takes a millisecond: not under the lock.
  HeldCertificates held;
  std::shared_ptr<coordinator::ServerCertificate> server;
  std::shared_ptr<std::string> bundle;
  if (secret != nullptr) {
    held = FactsOf(secret->set, options_.names);
    if (held.server) {
      server = std::make_shared<coordinator::ServerCertificate>();
      server->chain = secret->set.server.certificate;
      server->key = secret->set.server.key;
    }
    bundle = std::make_shared<std::string>(BundleOf(secret->set));
  }
  MutexLock l(mu_);
  const SecretPtr& before = seen_.secret;
  if (before != nullptr && secret != nullptr && before->meta.uid == secret->meta.uid &&
      kube::IsOlder(secret->meta.resource_version, before->meta.resource_version))
    return;
  const std::string& next = secret == nullptr ? std::string() : secret->set.next.certificate;
  if (before == nullptr || before->set.next.certificate != next) seen_.next_since = clock_.Steady();
  seen_.anything = true;
  seen_.secret = std::move(secret);
  seen_.held = held;
  if (server != nullptr && (serving_ == nullptr || serving_->chain != server->chain))
    serving_ = std::move(server);
  if (bundle != nullptr && !bundle->empty() && (bundle_ == nullptr || *bundle_ != *bundle))
    bundle_ = std::move(bundle);
}

bool SecretCertificates::HasSeen() const {
  MutexLock l(mu_);
  return seen_.anything;
}

Status SecretCertificates::Renew(const std::stop_token& stop) {
  for (int i = 0; i < kMaxStepsAtOnce; ++i) {
    if (stop.stop_requested() || !leadership_.Valid(clock_.Steady())) return Ok{};
    Seen seen;
    std::shared_ptr<const std::string> bundle;
    {
      MutexLock l(mu_);
      seen = seen_;
      bundle = bundle_;
    }
    if (!seen.anything) return Error{ErrorCode::kUnavailable, "the Secret has not been read yet"};
    if (seen.secret == nullptr) {
      return Error{ErrorCode::kNotFound,
                   fmt::format("there is no Secret {}/{}, which is installed with the operator",
                               options_.secret.ns, options_.secret.name)};
    }
    const Duration seen_for = clock_.Steady() - seen.next_since;
    NextAuthority next{.seen_for = seen_for, .published_for = seen_for};
    if (seen.held.next && options_.published_for)
      next.published_for = bundle == nullptr ? std::nullopt : options_.published_for(*bundle);
    const WallTime now = clock_.Wall();
    const CertificateDecision decision = Decide(seen.held, next, now, options_.policy);
    if (decision.step == CertificateStep::kNothing) return Ok{};
    const CertificateSet set =
        TRY(Take(decision.step, seen.secret->set, options_.names, options_.policy, now)
                .Annotate(ToString(decision.step)));
    TRY(Write(seen.secret, set, stop));
    Log(LogLevel::kInfo, "certificates changed",
        {{"step", std::string(ToString(decision.step))}, {"reason", std::string(decision.reason)}});
  }
  return Ok{};
}

Status SecretCertificates::Write(const SecretPtr& base, const CertificateSet& set,
                                 const std::stop_token& stop) {
  // Making keys took a while.
  if (!leadership_.Valid(clock_.Steady()))
    return Error{ErrorCode::kAborted, "this process does not lead any more"};
  auto written = api_.Update(kCertificateSecrets, options_.secret, ObjectWith(*base, set),
                             {.deadline = clock_.Steady() + options_.call_timeout, .stop = stop});
  if (!written.ok()) {
    const kube::ApiError& e = written.error();
    Error error = e.ToError();
    error.message = fmt::format("updating Secret {}/{}: {} ({})", options_.secret.ns,
                                options_.secret.name, ToString(e.kind), e.http_status);
    return error;
  }
  Observe(std::static_pointer_cast<const CertificateSecret>(*written));
  return Ok{};
}

std::shared_ptr<const coordinator::ServerCertificate> SecretCertificates::Current() const {
  MutexLock l(mu_);
  return serving_;
}

std::shared_ptr<const std::string> SecretCertificates::Bundle() const {
  MutexLock l(mu_);
  return bundle_;
}

CertificateEnds SecretCertificates::Ends() const {
  MutexLock l(mu_);
  CertificateEnds ends;
  if (seen_.held.server) ends.server = seen_.held.server->not_after;
  if (seen_.held.current) ends.authority = seen_.held.current->not_after;
  return ends;
}

}  // namespace backfill::certificates
