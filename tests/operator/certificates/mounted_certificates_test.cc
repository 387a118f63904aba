#include "operator/certificates/mounted_certificates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/fakes/manual_clock.h"
#include "tests/operator/certificates/verification.h"
#include "tests/operator/kube/temp_dir.h"

namespace backfill::certificates {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::string kMountedHost = "backfill-coordinator.ops.svc";

class MountedCertificatesTest : public ::testing::Test {
 protected:
  struct Made {
    CertificateAndKey authority, server;
  };
  [[nodiscard]] Made Make() const {
    Made made;
    made.authority = MakeAuthority({}, clock_.Wall()).value();
    made.server = IssueServerCertificate(made.authority, {kMountedHost}, {}, clock_.Wall()).value();
    return made;
  }
  // As a kubelet does: another file under the same name.
  void Write(const std::string& name, const std::string& text) const {
    const auto path = dir_.path() / name;
    std::ofstream(path.string() + ".new") << text;
    std::filesystem::rename(path.string() + ".new", path);
  }
  void Mount(const Made& made) const {
    Write("tls.crt", made.server.certificate);
    Write("tls.key", made.server.key);
    Write("ca.crt", made.authority.certificate);
  }
  void Serves(const Made& made) {
    ASSERT_NE(mounted_.Current(), nullptr);
    EXPECT_EQ(mounted_.Current()->chain, made.server.certificate);
    EXPECT_EQ(*mounted_.Bundle(), made.authority.certificate);
    EXPECT_EQ(WhyNoHandshake(*mounted_.Current(), *mounted_.Bundle(), kMountedHost, clock_.Wall()),
              "");
  }

  fakes::ManualClock clock_;
  const kube::TempDir dir_;
  MountedCertificates mounted_{clock_, {.directory = dir_.path().string()}};
};

TEST_F(MountedCertificatesTest, FilesAreServedAndReadAgainWhenTheyChange) {
  EXPECT_FALSE(mounted_.Look().ok());
  EXPECT_EQ(mounted_.Current(), nullptr);
  const Made first = Make();
  Mount(first);
  ASSERT_TRUE(mounted_.Look().ok());
  Serves(first);
  const auto served = mounted_.Current();
  ASSERT_TRUE(mounted_.Look().ok());
  EXPECT_EQ(mounted_.Current(), served) << "read although nothing has changed";
  const Made second = Make();
  Mount(second);
  ASSERT_TRUE(mounted_.Look().ok());
  Serves(second);
}

TEST_F(MountedCertificatesTest, HalfOfAChangeLeavesWhatIsServed) {
  const Made first = Make();
  Mount(first);
  ASSERT_TRUE(mounted_.Look().ok());
  const Made second = Make();
  Write("tls.crt", second.server.certificate);
  const Status looked = mounted_.Look();
  ASSERT_FALSE(looked.ok());
  EXPECT_THAT(looked.error().message, HasSubstr("tls.key"));
  Serves(first);
  Mount(second);
  ASSERT_TRUE(mounted_.Look().ok());
  Serves(second);
}

TEST_F(MountedCertificatesTest, WhatCannotBeReadIsNamedAndNotRepeated) {
  const Made good = Make();
  Mount(good);
  ASSERT_TRUE(mounted_.Look().ok());
  const std::string big(std::size_t{2} << 20, 'x');
  for (const char* name : {"tls.crt", "tls.key", "ca.crt"}) {
    for (const std::string& text : {std::string("secret text"), big, std::string()}) {
      Write(name, text);
      const Status looked = mounted_.Look();
      ASSERT_FALSE(looked.ok());
      EXPECT_THAT(looked.error().message, HasSubstr(name));
      EXPECT_THAT(looked.error().message, Not(HasSubstr("secret text")));
    }
    Mount(good);
    ASSERT_TRUE(mounted_.Look().ok());
  }
  Serves(good);
}

TEST_F(MountedCertificatesTest, AKeyThatStandsAmongTheAuthoritiesIsNotPublished) {
  const Made made = Make();
  Mount(made);
  Write("ca.crt", made.authority.key + made.authority.certificate);
  ASSERT_TRUE(mounted_.Look().ok());
  EXPECT_EQ(*mounted_.Bundle(), made.authority.certificate);
}

}  // namespace
}  // namespace backfill::certificates
