#include "operator/certificates/certificate_set.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace backfill::certificates {
namespace {

std::optional<HeldAuthority> AuthorityOf(const std::string& certificate, const std::string& key) {
  const Result<CertificateFacts> facts = ReadCertificate(certificate);
  if (!facts.ok() || !facts->is_authority) return std::nullopt;
  return HeldAuthority{.not_before = facts->not_before,
                       .not_after = facts->not_after,
                       .can_sign = KeyFits(certificate, key)};
}

bool HasNames(const CertificateFacts& facts, const std::vector<std::string>& names) {
  return std::ranges::all_of(names, [&](const std::string& name) {
    return std::ranges::find(facts.names, name) != facts.names.end();
  });
}

Result<CertificateAndKey> NewAuthority(const CertificatePolicy& policy, WallTime now) {
  return MakeAuthority({.lifetime = policy.authority_lifetime, .back_date = policy.back_date}, now);
}

Result<CertificateSet> WithServer(CertificateSet set, const std::vector<std::string>& names,
                                  const CertificatePolicy& policy, WallTime now) {
  set.server = TRY(IssueServerCertificate(
      set.current, names, {.lifetime = policy.server_lifetime, .back_date = policy.back_date},
      now));
  return set;
}

}  // namespace

HeldCertificates FactsOf(const CertificateSet& set, const std::vector<std::string>& names) {
  HeldCertificates held;
  held.current = AuthorityOf(set.current.certificate, set.current.key);
  held.next = AuthorityOf(set.next.certificate, set.next.key);
  held.old = AuthorityOf(set.old, "");
  const Result<CertificateFacts> server = ReadCertificate(set.server.certificate);
  if (server.ok() && KeyFits(set.server.certificate, set.server.key)) {
    held.server = HeldServerCertificate{
        .not_before = server->not_before,
        .not_after = server->not_after,
        .for_our_names = HasNames(*server, names),
        .by_current = held.current && IsIssuedBy(set.server.certificate, set.current.certificate)};
  }
  return held;
}

std::string BundleOf(const CertificateSet& set) {
  std::string bundle;
  for (const std::string* pem : {&set.current.certificate, &set.next.certificate, &set.old})
    bundle += CertificatesOnly(*pem);
  return bundle;
}

Result<CertificateSet> Take(CertificateStep step, CertificateSet set,
                            const std::vector<std::string>& names, const CertificatePolicy& policy,
                            WallTime now) {
  switch (step) {
    case CertificateStep::kNothing:
      return set;
    case CertificateStep::kStartAfresh:
      set.old = CertificatesOnly(set.current.certificate);  // whatever stood there
      set.next = {};
      set.current = TRY(NewAuthority(policy, now));
      return WithServer(std::move(set), names, policy, now);
    case CertificateStep::kPublishNextAuthority:
      set.next = TRY(NewAuthority(policy, now));
      return set;
    case CertificateStep::kUseNextAuthority:
      set.old = std::move(set.current.certificate);
      set.current = std::exchange(set.next, {});
      return WithServer(std::move(set), names, policy, now);
    case CertificateStep::kIssueServerCertificate:
      return WithServer(std::move(set), names, policy, now);
    case CertificateStep::kDropOldAuthority:
      set.old.clear();
      return set;
  }
  return Error{ErrorCode::kInternal, "no such step"};
}

}  // namespace backfill::certificates
