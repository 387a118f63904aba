#include "operator/identity/pod_claim.h"

namespace backfill::identity {
namespace {

using namespace std::chrono_literals;

constexpr const char* kAudience = "backfill-operator";

kube::TokenAnswer Good() {
  return {.authenticated = true,
          .user = {.username = "system:serviceaccount:shop:default",
                   .uid = "sa-uid",
                   .groups = {"system:serviceaccounts", "system:serviceaccounts:shop",
                              "system:authenticated"},
                   .extra = {{"authentication.kubernetes.io/pod-name", {"reprice-run-3-abcde"}},
                             {"authentication.kubernetes.io/pod-uid", {"pod-uid"}},
                             {"authentication.kubernetes.io/node-name", {"n1"}}}},
          .audiences = {kAudience},
          .error = ""};
}

TEST(PodClaimTest, ReadsWhichPodATokenIsOf) {
  const auto claim = ClaimOf(Good(), kAudience);
  ASSERT_TRUE(claim.ok());
  EXPECT_EQ(*claim, (PodClaim{.ns = "shop", .pod = "reprice-run-3-abcde", .uid = "pod-uid"}));
}

// F18: one thing is wrong each time.
TEST(PodClaimTest, WhateverIsMissingOrThereTwiceIsRefused) {
  const char* const pod_name = "authentication.kubernetes.io/pod-name";
  const char* const pod_uid = "authentication.kubernetes.io/pod-uid";
  using Change = std::function<void(kube::TokenAnswer&)>;
  const std::vector<std::pair<Refusal, Change>> cases = {
      {Refusal::kNotAuthenticated, [](auto& a) { a.authenticated = false; }},
      {Refusal::kNotAuthenticated, [](auto& a) { a.error = "something"; }},
      {Refusal::kWrongAudience, [](auto& a) { a.audiences.clear(); }},
      {Refusal::kWrongAudience, [](auto& a) { a.audiences = {"https://kubernetes.default.svc"}; }},
      {Refusal::kNoPod, [](auto& a) { a.user.username = "admin"; }},
      {Refusal::kNoPod, [](auto& a) { a.user.username = "system:serviceaccount:shop"; }},
      {Refusal::kNoPod, [](auto& a) { a.user.username = "system:serviceaccount::default"; }},
      {Refusal::kNoPod, [](auto& a) { a.user.username = "system:serviceaccount:shop:"; }},
      {Refusal::kNoPod, [](auto& a) { a.user.username = "system:serviceaccount:shop:a:b"; }},
      {Refusal::kNoPod, [](auto& a) { a.user.username = "system:serviceaccount:../x:a"; }},
      {Refusal::kNoPod, [](auto& a) { a.user.groups = {"system:authenticated"}; }},
      {Refusal::kNoPod, [=](auto& a) { a.user.extra.erase(pod_name); }},
      {Refusal::kNoPod, [=](auto& a) { a.user.extra.erase(pod_uid); }},
      {Refusal::kNoPod, [=](auto& a) { a.user.extra[pod_uid] = {}; }},
      {Refusal::kNoPod, [=](auto& a) { a.user.extra[pod_uid] = {""}; }},
      {Refusal::kNoPod, [=](auto& a) { a.user.extra[pod_uid] = {"pod-uid", "other"}; }},
      {Refusal::kNoPod, [=](auto& a) { a.user.extra[pod_name] = {std::string(300, 'x')}; }}};
  for (std::size_t i = 0; i < cases.size(); ++i) {
    kube::TokenAnswer answer = Good();
    cases[i].second(answer);
    const auto claim = ClaimOf(answer, kAudience);
    ASSERT_FALSE(claim.ok()) << i;
    EXPECT_EQ(claim.error().why, cases[i].first) << i;
  }
}

TEST(PodClaimTest, ATokenIsPrintableAndNotEndless) {
  EXPECT_TRUE(LooksLikeToken("eyJ.eyJ.sig"));
  for (const std::string& bad :
       {std::string(), std::string("a b"), std::string("a\n"), std::string("a\0b", 3),
        std::string("\xc3\xa4"), std::string(20'000, 'x')}) {
    EXPECT_FALSE(LooksLikeToken(bad));
  }
}

TEST(PodClaimTest, ReadsWhenATokenEnds) {
  // {"exp":1800000000}
  EXPECT_EQ(ExpiryOf("e30.eyJleHAiOjE4MDAwMDAwMDB9.sig"), WallTime(1'800'000'000s));
  // {"exp":253402300799}: the year 9999, which no WallTime has. Anybody can send it.
  EXPECT_EQ(ExpiryOf("e30.eyJleHAiOjI1MzQwMjMwMDc5OX0.sig"), WallTime(7'258'118'400s));
}

TEST(PodClaimTest, AnEndThatCannotBeReadIsNone) {
  for (const char* token : {"", "no dots", "one.dot", "e30.e30.sig", "e30.!!!.sig", "e30..sig",
                            "e30.eyJleHAiOiJ4In0.sig",              // {"exp":"x"}
                            "e30.eyJleHAiOi0xfQ.sig",               // {"exp":-1}
                            "e30.eyJleHAiOjFlOTl9.sig",             // {"exp":1e99}
                            "e30.W1tbW1tbW1tbW1tbW1tbW1tb.sig"}) {  // no end of brackets
    EXPECT_EQ(ExpiryOf(token), std::nullopt) << token;
  }
}

}  // namespace
}  // namespace backfill::identity
