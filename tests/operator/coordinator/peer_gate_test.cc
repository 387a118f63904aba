#include "operator/coordinator/peer_gate.h"

namespace backfill::coordinator {
namespace {

using namespace std::chrono_literals;
using Verdict = PeerGate::Verdict;

class PeerGateTest : public ::testing::Test {
 protected:
  // A stream that shows a token which is refused.
  Verdict Fail(const std::string& address) {
    const Verdict verdict = gate_->Enter(address, now_);
    if (verdict != Verdict::kOpen) return verdict;
    gate_->OnFailure(address, now_);
    gate_->Leave(address);
    return verdict;
  }
  Verdict Enter(const std::string& address) { return gate_->Enter(address, now_); }
  void Use(const PeerLimits& limits) { gate_.emplace(limits); }

  std::optional<PeerGate> gate_{PeerLimits{}};
  Time now_{1h};
};

TEST(PeerAddressTest, IsWhatStandsBetweenSchemeAndPort) {
  EXPECT_EQ(AddressOf("ipv4:10.0.0.7:41234"), "10.0.0.7");
  EXPECT_EQ(AddressOf("ipv6:[2001:db8::1]:41234"), "[2001:db8::1]");
  EXPECT_EQ(AddressOf("ipv6:%5B2001:db8::1%5D:41234"), "%5B2001:db8::1%5D");
  EXPECT_EQ(AddressOf("unix:"), "");
  EXPECT_EQ(AddressOf("unix:/run/c.sock"), "");
  EXPECT_EQ(AddressOf(""), "");
}

TEST_F(PeerGateTest, FiveFailuresInAMinuteCloseTheAddressForAMinute) {
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Fail("a"), Verdict::kOpen) << i;
  EXPECT_EQ(Enter("a"), Verdict::kClosed);
  EXPECT_EQ(Enter("b"), Verdict::kOpen);
  now_ += 59s;
  EXPECT_EQ(Enter("a"), Verdict::kClosed);
  now_ += 1s;
  EXPECT_EQ(Enter("a"), Verdict::kOpen);
}

TEST_F(PeerGateTest, FailuresThatAreFarApartCloseNothing) {
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(Fail("a"), Verdict::kOpen) << i;
    now_ += 16s;  // at most four in any minute that begins with one
  }
}

TEST_F(PeerGateTest, AnAddressHasSoManyStreamsAndNoMore) {
  Use({.streams = 2});
  EXPECT_EQ(Enter("a"), Verdict::kOpen);
  EXPECT_EQ(Enter("a"), Verdict::kOpen);
  EXPECT_EQ(Enter("a"), Verdict::kTooMany);
  EXPECT_EQ(Enter("b"), Verdict::kOpen);
  gate_->Leave("a");
  EXPECT_EQ(Enter("a"), Verdict::kOpen);
}

TEST_F(PeerGateTest, AnAddressBeginsStreamsAtItsRateAfterABurst) {
  Use({.streams_per_second = 2, .burst = 3});
  const auto enter_and_leave = [&] {
    const Verdict verdict = Enter("a");
    if (verdict == Verdict::kOpen) gate_->Leave("a");
    return verdict;
  };
  for (int i = 0; i < 3; ++i) EXPECT_EQ(enter_and_leave(), Verdict::kOpen);
  EXPECT_EQ(enter_and_leave(), Verdict::kTooFast);
  now_ += 500ms;
  EXPECT_EQ(enter_and_leave(), Verdict::kOpen);
  EXPECT_EQ(enter_and_leave(), Verdict::kTooFast);
}

TEST_F(PeerGateTest, AFloodOfAddressesTakesNoMoreThanItsTable) {
  Use({.addresses = 100});
  EXPECT_EQ(Enter("works"), Verdict::kOpen);
  for (int i = 0; i < 10'000; ++i) {
    EXPECT_EQ(Fail("stranger-" + std::to_string(i)), Verdict::kOpen);
    ASSERT_LE(gate_->size(), 100u);
  }
  // Whoever has a stream is not forgotten.
  gate_->Leave("works");
  EXPECT_EQ(Enter("works"), Verdict::kOpen);
}

TEST_F(PeerGateTest, WithAllAddressesInUseAnotherOneWaits) {
  Use({.addresses = 2});
  EXPECT_EQ(Enter("a"), Verdict::kOpen);
  EXPECT_EQ(Enter("b"), Verdict::kOpen);
  EXPECT_EQ(Enter("c"), Verdict::kTooMany);
  gate_->OnFailure("c", now_);
  gate_->Leave("c");
  gate_->Leave("a");
  EXPECT_EQ(Enter("c"), Verdict::kOpen);
}

}  // namespace
}  // namespace backfill::coordinator
