#pragma once

#include <chrono>
#include <optional>
#include <string_view>

#include "base/clock.h"

// What to do about the certificates that a Secret holds. Pure: the same facts and the same time
// give the same step, whoever asks. One step is one write; after it the Secret is looked at again.
namespace backfill::certificates {

struct CertificatePolicy {
  Duration authority_lifetime = std::chrono::hours(24 * 365);
  Duration server_lifetime = std::chrono::hours(24 * 30);
  Duration back_date = std::chrono::minutes(5);  // for clocks that are behind
  // Renewed once renew_after_thirds of the lifetime are over.
  int renew_after_thirds = 2;
  // So long a new authority is published before it is used: kubelets bring ConfigMaps to pods
  // within two minutes.
  Duration publish_first = std::chrono::minutes(10);
  // So long the one before it stays in the bundle.
  Duration keep_old = std::chrono::hours(24);
};

// What stands in the Secret and can be used, whatever the time. What cannot be read is not there.
struct HeldAuthority {
  WallTime not_before{};
  WallTime not_after{};
  bool can_sign = false;  // its key is there and belongs to it
};
struct HeldServerCertificate {  // with its key
  WallTime not_before{};
  WallTime not_after{};
  bool for_our_names = false;
  bool by_current = false;  // signed by the authority in use
};
struct HeldCertificates {
  std::optional<HeldAuthority> current;
  std::optional<HeldAuthority> next;  // published, not in use yet
  std::optional<HeldAuthority> old;   // published, not in use any more
  std::optional<HeldServerCertificate> server;
};

// How far the next authority has come.
struct NextAuthority {
  // How long this process has seen it, on the monotonic clock: a step of the time of day must not
  // make anybody use what nobody trusts yet. A process that has just started begins anew.
  Duration seen_for{0};
  // How long every namespace that is known to have workers has had it; absent: not all have.
  std::optional<Duration> published_for;
};

enum class CertificateStep {
  kNothing,
  kStartAfresh,           // a new authority and a server certificate, in use at once
  kPublishNextAuthority,  // beside the one in use
  kUseNextAuthority,      // with a server certificate; the one in use becomes the old one
  kIssueServerCertificate,
  kDropOldAuthority,
};
std::string_view ToString(CertificateStep step);

struct CertificateDecision {
  CertificateStep step = CertificateStep::kNothing;
  std::string_view reason;  // for the log
};

// A certificate whose time has not come yet is replaced, as either this clock is wrong or that of
// who made it; an authority then as carefully as in a renewal, for it may be this one.
CertificateDecision Decide(const HeldCertificates& held, const NextAuthority& next, WallTime now,
                           const CertificatePolicy& policy);

}  // namespace backfill::certificates
