#include "operator/certificates/certificate_plan.h"

namespace backfill::certificates {
namespace {

using Step = CertificateStep;

WallTime::duration Steps(Duration d) { return std::chrono::duration_cast<WallTime::duration>(d); }

bool IsDue(WallTime not_before, WallTime not_after, WallTime now, const CertificatePolicy& policy) {
  return now >= not_before + (not_after - not_before) / 3 * policy.renew_after_thirds;
}

bool Usable(const std::optional<HeldAuthority>& authority, WallTime now) {
  return authority && authority->can_sign && now < authority->not_after;
}

// With an authority that serves: whether another is to follow, and how far that has come.
CertificateDecision DecideNext(const HeldCertificates& held, const NextAuthority& next,
                               WallTime now, const CertificatePolicy& policy) {
  const HeldAuthority& current = *held.current;
  if (held.next) {
    if (!Usable(held.next, now))
      return {Step::kPublishNextAuthority, "the next authority cannot be used"};
    if (now < held.next->not_before)
      return {Step::kPublishNextAuthority, "the time of the next authority has not come"};
    if (next.seen_for < policy.publish_first) return {};
    // Not for ever: one namespace that takes no ConfigMap must not stop all others.
    const bool urgent = now >= current.not_after - Steps(policy.server_lifetime);
    if (urgent || (next.published_for && *next.published_for >= policy.publish_first))
      return {Step::kUseNextAuthority, "the next authority is published"};
    return {};
  }
  if (!current.can_sign)
    return {Step::kPublishNextAuthority, "the key of the authority is missing"};
  if (now < current.not_before)
    return {Step::kPublishNextAuthority, "the time of the authority has not come"};
  if (IsDue(current.not_before, current.not_after, now, policy))
    return {Step::kPublishNextAuthority, "the authority is to be renewed"};
  return {};
}

}  // namespace

CertificateDecision Decide(const HeldCertificates& held, const NextAuthority& next, WallTime now,
                           const CertificatePolicy& policy) {
  const bool alive = held.current && now < held.current->not_after;
  const bool serves = alive && held.server && held.server->by_current &&
                      held.server->for_our_names && now < held.server->not_after;
  if (!serves) {  // nobody can connect: nothing is lost by haste
    if (alive && held.current->can_sign)
      return {Step::kIssueServerCertificate, "there is no server certificate that can be used"};
    if (Usable(held.next, now)) return {Step::kUseNextAuthority, "the authority cannot be used"};
    return {Step::kStartAfresh, "there is no authority that can be used"};
  }
  if (const CertificateDecision decision = DecideNext(held, next, now, policy);
      decision.step != Step::kNothing)
    return decision;

  const HeldServerCertificate& server = *held.server;
  if (held.current->can_sign) {
    if (now < server.not_before)
      return {Step::kIssueServerCertificate, "the time of the server certificate has not come"};
    // One that ends with its authority is not renewed over and over while that one's end comes
    // near.
    const bool gains = server.not_after < held.current->not_after;
    if (gains && IsDue(server.not_before, server.not_after, now, policy))
      return {Step::kIssueServerCertificate, "the server certificate is to be renewed"};
  }
  // The first server certificate of an authority is as old as its use.
  if (held.old && (now >= held.old->not_after ||
                   now >= server.not_before + Steps(policy.back_date) + Steps(policy.keep_old)))
    return {Step::kDropOldAuthority, "nobody needs the old authority any more"};
  return {};
}

std::string_view ToString(CertificateStep step) {
  switch (step) {
    case Step::kNothing:
      return "nothing";
    case Step::kStartAfresh:
      return "start afresh";
    case Step::kPublishNextAuthority:
      return "publish the next authority";
    case Step::kUseNextAuthority:
      return "use the next authority";
    case Step::kIssueServerCertificate:
      return "issue a server certificate";
    case Step::kDropOldAuthority:
      return "drop the old authority";
  }
  return "";
}

}  // namespace backfill::certificates
