#include "operator/certificates/certificate_plan.h"

#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace backfill::certificates {
namespace {

using namespace std::chrono_literals;
using enum CertificateStep;

constexpr Duration kOneDay = 24h;
const WallTime kToday{std::chrono::seconds(1'800'000'000)};
WallTime In(Duration d) { return kToday + std::chrono::duration_cast<WallTime::duration>(d); }

// An authority of a year and a server certificate of a month, made some days ago.
HeldAuthority Authority(int days_ago) {
  return {.not_before = In(-days_ago * kOneDay - 5min),
          .not_after = In((365 - days_ago) * kOneDay),
          .can_sign = true};
}
HeldServerCertificate Server(int days_ago) {
  return {.not_before = In(-days_ago * kOneDay - 5min),
          .not_after = In((30 - days_ago) * kOneDay),
          .for_our_names = true,
          .by_current = true};
}

struct Case {
  std::string what;
  HeldCertificates held;
  NextAuthority next;
  CertificateStep expected;
};

HeldCertificates Healthy() {
  return {.current = Authority(3), .next = {}, .old = {}, .server = Server(3)};
}

HeldCertificates With(const std::function<void(HeldCertificates&)>& change) {
  HeldCertificates held = Healthy();
  change(held);
  return held;
}

std::vector<Case> Cases() {
  using H = HeldCertificates;
  const NextAuthority everywhere{.seen_for = 10min, .published_for = 10min};
  std::vector<Case> cases = {
      {"an empty Secret", {}, {}, kStartAfresh},
      {"all is well", Healthy(), {}, kNothing},
      // ---- the server certificate
      {"no server certificate", With([](H& h) { h.server.reset(); }), {}, kIssueServerCertificate},
      {"for other names",
       With([](H& h) { h.server->for_our_names = false; }),
       {},
       kIssueServerCertificate},
      {"of another authority",
       With([](H& h) { h.server->by_current = false; }),
       {},
       kIssueServerCertificate},
      {"not due", With([](H& h) { h.server = Server(19); }), {}, kNothing},
      {"due at two thirds", With([](H& h) { h.server = Server(20); }), {}, kIssueServerCertificate},
      {"expired", With([](H& h) { h.server = Server(31); }), {}, kIssueServerCertificate},
      {"made by a clock that was ahead",
       With([](H& h) { h.server = Server(-1); }),
       {},
       kIssueServerCertificate},
      {"it ends with its authority, which it cannot outlive",
       With([](H& h) {
         h.current = Authority(355);
         h.server = Server(10);
         h.server->not_after = h.current->not_after;
         h.server->not_before = In(-25 * kOneDay);
         h.next = Authority(0);
       }),
       {},
       kNothing},
      // ---- the authority
      {"not due", With([](H& h) { h.current = Authority(243); }), {}, kNothing},
      {"due at two thirds",
       With([](H& h) { h.current = Authority(244); }),
       {},
       kPublishNextAuthority},
      {"its key is gone: nobody notices yet",
       With([](H& h) { h.current->can_sign = false; }),
       {},
       kPublishNextAuthority},
      {"neither key nor server certificate",
       With([](H& h) {
         h.current->can_sign = false;
         h.server.reset();
       }),
       {},
       kStartAfresh},
      {"the same, but the next one is there",
       With([](H& h) {
         h.current->can_sign = false;
         h.server.reset();
         h.next = Authority(0);
       }),
       {},
       kUseNextAuthority},
      {"expired, while the operator was away",
       With([](H& h) { h.current = Authority(366); }),
       {},
       kStartAfresh},
      {"made by a clock that was ahead, or this one is behind",
       With([](H& h) { h.current = Authority(-2); }),
       {},
       kPublishNextAuthority},
      // ---- the next one
      {"just published",
       With([](H& h) { h.next = Authority(0); }),
       {.seen_for = 0s, .published_for = 0s},
       kNothing},
      {"not long enough",
       With([](H& h) { h.next = Authority(0); }),
       {.seen_for = 10min - 1s, .published_for = 1h},
       kNothing},
      {"by the time of day it is a day old, but this process has just begun",
       With([](H& h) { h.next = Authority(1); }),
       {.seen_for = 1s, .published_for = 1h},
       kNothing},
      {"not everywhere",
       With([](H& h) { h.next = Authority(0); }),
       {.seen_for = 5h, .published_for = std::nullopt},
       kNothing},
      {"everywhere, but not for long",
       With([](H& h) { h.next = Authority(0); }),
       {.seen_for = 5h, .published_for = 9min},
       kNothing},
      {"everywhere for ten minutes", With([](H& h) { h.next = Authority(0); }), everywhere,
       kUseNextAuthority},
      {"not everywhere, but the old one ends in a month",
       With([](H& h) {
         h.current = Authority(336);
         h.next = Authority(60);
       }),
       {.seen_for = 10min, .published_for = std::nullopt},
       kUseNextAuthority},
      {"meanwhile the server certificate is due",
       With([](H& h) {
         h.server = Server(21);
         h.next = Authority(0);
       }),
       {},
       kIssueServerCertificate},
      {"its key is gone", With([](H& h) {
         h.next = Authority(0);
         h.next->can_sign = false;
       }),
       everywhere, kPublishNextAuthority},
      {"its time has not come", With([](H& h) { h.next = Authority(-1); }), everywhere,
       kPublishNextAuthority},
      {"its time is over", With([](H& h) { h.next = Authority(366); }), everywhere,
       kPublishNextAuthority},
      // ---- the old one
      {"kept for a day",
       With([](H& h) {
         h.server = Server(0);
         h.old = Authority(250);
       }),
       {},
       kNothing},
      {"and no longer",
       With([](H& h) {
         h.server = Server(1);
         h.old = Authority(250);
       }),
       {},
       kDropOldAuthority},
      {"expired: nobody is helped by it",
       With([](H& h) {
         h.server = Server(0);
         h.old = Authority(366);
       }),
       {},
       kDropOldAuthority},
  };
  return cases;
}

TEST(CertificatePlanTest, OneStepFollowsFromWhatIsThere) {
  for (const Case& c : Cases()) {
    const CertificateDecision decision = Decide(c.held, c.next, kToday, {});
    EXPECT_EQ(ToString(decision.step), ToString(c.expected)) << c.what;
    EXPECT_EQ(decision.reason.empty(), decision.step == kNothing) << c.what;
  }
}

}  // namespace
}  // namespace backfill::certificates
