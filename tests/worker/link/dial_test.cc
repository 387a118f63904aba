#include "worker/link/dial.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace backfill::worker {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class DialTest : public ::testing::Test {
 protected:
  DialTest() {
    char directory[] = "/tmp/backfill-dial-XXXXXX";
    directory_ = mkdtemp(directory);
    options_.token_file = directory_ / "token";
    options_.ca_file = directory_ / "ca.crt";
  }
  ~DialTest() override { std::filesystem::remove_all(directory_); }
  void Write(const char* name, const std::string& text) const {
    std::ofstream(directory_ / name) << text;
  }

  std::filesystem::path directory_;
  DialOptions options_;
};

TEST(StaysOnThisMachineTest, OnlyUnixSocketsAndLiteralLoopback) {
  for (const char* here : {"unix:/run/c.sock", "unix:///run/c.sock", "unix-abstract:c",
                           "127.0.0.1:9000", "127.9.9.9:1", "ipv4:127.0.0.1:9000", "[::1]:9000",
                           "ipv6:[::1]:9000", "dns:///127.0.0.1:9000"}) {
    EXPECT_TRUE(StaysOnThisMachine(here)) << here;
  }
  for (const char* elsewhere :
       {"", "coordinator:9000", "localhost:9000", "127.evil.com:9000", "127.0.0.1.evil.com:9000",
        "10.0.0.1:9000", "0.0.0.0:9000", "[::]:9000", "[2001:db8::1]:9000", "::1",
        "dns:///coordinator.backfill-system.svc:9443", "dns://10.0.0.1/127.0.0.1:9000",
        "ipv4:127.0.0.1:9000,10.0.0.1:9000", "xds:///x", "unixx:/run"}) {
    EXPECT_FALSE(StaysOnThisMachine(elsewhere)) << elsewhere;
  }
}

TEST_F(DialTest, TheTokenIsWhatStandsInTheFileNow) {
  Write("token", "first\n");
  EXPECT_EQ(*ReadToken(options_), "first");
  Write("token", "second");
  EXPECT_EQ(*ReadToken(options_), "second");
  options_.token_file.clear();
  options_.token = "given";
  EXPECT_EQ(*ReadToken(options_), "given");
}

TEST_F(DialTest, AFileWithoutATokenMayYetHaveOneAndIsNotQuoted) {
  EXPECT_EQ(ReadToken(options_).error().code, ErrorCode::kUnavailable);
  for (const std::string& bad :
       {std::string(), std::string("\n"), std::string("s3cret\nline"), std::string("s3cret\x01"),
        std::string("s3cret t"), std::string("s3cr\xe4t"), std::string(1 << 20, 's')}) {
    Write("token", bad);
    const auto token = ReadToken(options_);
    ASSERT_FALSE(token.ok());
    EXPECT_EQ(token.error().code, ErrorCode::kUnavailable);
    EXPECT_THAT(token.error().message, Not(HasSubstr("s3c")));
  }
}

TEST_F(DialTest, AnEmptyBundleIsNoReasonToTrustEverybody) {
  EXPECT_EQ(ReadAuthorities(options_).error().code, ErrorCode::kUnavailable);
  Write("ca.crt", "");
  EXPECT_EQ(ReadAuthorities(options_).error().code, ErrorCode::kUnavailable);
  Write("ca.crt", "-----BEGIN CERTIFICATE-----\n");
  EXPECT_TRUE(ReadAuthorities(options_).ok());
  options_.ca_file.clear();
  EXPECT_EQ(*ReadAuthorities(options_), "");
}

}  // namespace
}  // namespace backfill::worker
