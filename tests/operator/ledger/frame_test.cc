#include "operator/ledger/frame.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

namespace backfill::ledger {
namespace {

// RFC 3720 B.4: the CRC-32C of 32 zero bytes is 0x8A9136AA.
TEST(FrameTest, EndsInTheCastagnoliChecksum) {
  EXPECT_EQ(Seal(std::string(32, '\0')).substr(32), "\xFD\x01\xAA\x36\x91\x8A");
}

TEST(FrameTest, GivesBackWhatWasSealed) {
  const std::string sealed = Seal("bytes");
  EXPECT_EQ(Unseal(sealed).value(), "bytes");
}

TEST(FrameTest, NoticesEachFlippedBitAndEachCut) {
  const std::string sealed = Seal("some bytes");
  for (std::size_t bit = 0; bit < 8 * sealed.size(); ++bit) {
    std::string damaged = sealed;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_EQ(Unseal(damaged).error().code, ErrorCode::kInvalid);
  }
  for (std::size_t n = 0; n < sealed.size(); ++n) {
    EXPECT_EQ(Unseal(sealed.substr(0, n)).error().code, ErrorCode::kInvalid);
  }
}

TEST(FrameTest, RefusesWhatIsTooLarge) {
  const std::string sealed = Seal(std::string(kMaxEncodedBytes, 'x'));
  EXPECT_EQ(Unseal(sealed).error().message, "too large");
}

TEST(FrameTest, StopsInflatingABomb) {
  const std::string bomb = Deflate(std::string(100 * kMaxEncodedBytes, '\0'));
  ASSERT_LT(bomb.size(), kMaxEncodedBytes);
  EXPECT_EQ(Inflate(bomb).error().message, "too large when inflated");
}

TEST(FrameTest, RefusesCutStreamsAndBytesBehindTheEnd) {
  const std::string deflated = Deflate("0123456789");
  EXPECT_EQ(Inflate(deflated.substr(0, deflated.size() - 1)).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(Inflate(deflated + "x").error().code, ErrorCode::kInvalid);
  EXPECT_EQ(Inflate("").error().code, ErrorCode::kInvalid);
}

RC_GTEST_PROP(FrameProperty, InflateGivesBackWhatWasDeflated, (const std::string& text)) {
  RC_ASSERT(Inflate(Deflate(text)).value() == text);
}

RC_GTEST_PROP(FrameProperty, InflatingAnythingEnds, (const std::string& bytes)) {
  const auto inflated = Inflate(bytes);
  RC_ASSERT(inflated.ok() || inflated.error().code == ErrorCode::kInvalid);
}

}  // namespace
}  // namespace backfill::ledger
