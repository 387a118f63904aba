#include "operator/certificates/authority.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <string>

#include "tests/operator/certificates/verification.h"
#include "tests/operator/kube/temp_dir.h"

namespace backfill::certificates {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr Duration kYear = std::chrono::hours(24 * 365);
constexpr Duration kMonth = std::chrono::hours(24 * 30);
const WallTime kNow{std::chrono::seconds(1'800'000'000)};
const std::string kHost = "backfill-coordinator.backfill-system.svc";

WallTime At(Duration d) { return kNow + std::chrono::duration_cast<WallTime::duration>(d); }

class AuthorityTest : public ::testing::Test {
 protected:
  AuthorityTest()
      : authority_(MakeAuthority({.lifetime = kYear}, kNow).value()),
        server_(Issue(authority_).value()) {}

  static Result<CertificateAndKey> Issue(const CertificateAndKey& by, WallTime now = kNow) {
    return IssueServerCertificate(by, ServerNames("backfill-coordinator", "backfill-system"),
                                  {.lifetime = kMonth}, now);
  }
  [[nodiscard]] std::string Verify(const std::string& host, WallTime at) const {
    return WhyNotTrusted(server_.certificate, authority_.certificate, host, at);
  }

  CertificateAndKey authority_;
  CertificateAndKey server_;
};

TEST_F(AuthorityTest, AServerIsTrustedUnderEachOfItsNamesAndNoOther) {
  EXPECT_EQ(Verify(kHost, kNow), "");
  EXPECT_EQ(Verify(kHost + ".cluster.local", kNow), "");
  EXPECT_EQ(Verify("backfill-coordinator", kNow), "");
  EXPECT_THAT(Verify("backfill-coordinator.other.svc", kNow), HasSubstr("ostname mismatch"));
  EXPECT_THAT(ReadCertificate(server_.certificate).value().names,
              ElementsAre(kHost, kHost + ".cluster.local", "backfill-coordinator"));
}

TEST_F(AuthorityTest, ItIsTrustedByClocksThatAreFiveMinutesBehindUntilItEnds) {
  EXPECT_EQ(Verify(kHost, At(-5min)), "");
  EXPECT_THAT(Verify(kHost, At(-5min - 1s)), HasSubstr("not yet valid"));
  EXPECT_EQ(Verify(kHost, At(kMonth - 1s)), "");
  EXPECT_THAT(Verify(kHost, At(kMonth + 1s)), HasSubstr("expired"));
}

TEST_F(AuthorityTest, ItEndsWithItsAuthorityAtTheLatest) {
  const CertificateAndKey late = Issue(authority_, At(kYear - 1h)).value();
  EXPECT_EQ(ReadCertificate(late.certificate).value().not_after,
            ReadCertificate(authority_.certificate).value().not_after);
}

TEST_F(AuthorityTest, TheCommandOfOpenSslTrustsItToo) {
  if (std::system("openssl version >/dev/null 2>&1") != 0) GTEST_SKIP() << "no openssl here";
  const kube::TempDir dir;
  const std::string ca = dir.path() / "ca.crt";
  const std::string tls = dir.path() / "tls.crt";
  const CertificateAndKey other = MakeAuthority({.lifetime = kYear}, kNow).value();
  std::ofstream(ca) << other.certificate << authority_.certificate;
  std::ofstream(tls) << server_.certificate;
  const auto verify = [&](const std::string& host) {
    const std::string command =
        "openssl verify -x509_strict -purpose sslserver -attime 1800000000 -verify_hostname " +
        host + " -no-CApath -no-CAstore -CAfile " + ca + " " + tls + " >/dev/null 2>&1";
    return std::system(command.c_str());
  };
  EXPECT_EQ(verify(kHost), 0);
  EXPECT_NE(verify("elsewhere.svc"), 0);
}

TEST_F(AuthorityTest, NoTwoAreAlike) {
  std::set<std::string> certificates, keys;
  for (int i = 0; i < 20; ++i) {
    const CertificateAndKey one = MakeAuthority({.lifetime = kYear}, kNow).value();
    certificates.insert(one.certificate);
    keys.insert(one.key);
    EXPECT_FALSE(IsIssuedBy(server_.certificate, one.certificate));
  }
  EXPECT_EQ(certificates.size(), 20U);
  EXPECT_EQ(keys.size(), 20U);
}

TEST_F(AuthorityTest, ItSaysWhatBelongsTogether) {
  const CertificateAndKey other = MakeAuthority({.lifetime = kYear}, kNow).value();
  EXPECT_TRUE(IsIssuedBy(server_.certificate, authority_.certificate));
  EXPECT_FALSE(IsIssuedBy(server_.certificate, other.certificate));
  EXPECT_FALSE(IsIssuedBy(server_.certificate, server_.certificate));
  EXPECT_TRUE(KeyFits(server_.certificate, server_.key));
  EXPECT_FALSE(KeyFits(server_.certificate, authority_.key));
  EXPECT_TRUE(ReadCertificate(authority_.certificate).value().is_authority);
  EXPECT_FALSE(ReadCertificate(server_.certificate).value().is_authority);
}

TEST_F(AuthorityTest, AnythingElseIsRefusedWithoutRepeatingIt) {
  const std::string cut = authority_.key.substr(0, authority_.key.size() / 2);
  for (const std::string& text :
       {std::string(), std::string("secret"), std::string(100'000, 'x'), cut,
        std::string("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        std::string("-----BEGIN CERTIFICATE-----\n"), std::string("\0\xff", 2)}) {
    EXPECT_FALSE(ReadCertificate(text).ok());
    EXPECT_FALSE(KeyFits(authority_.certificate, text));
    EXPECT_FALSE(KeyFits(text, authority_.key));
    EXPECT_EQ(CertificatesOnly(text), "");
    const auto issued = Issue({.certificate = authority_.certificate, .key = text});
    ASSERT_FALSE(issued.ok());
    EXPECT_EQ(issued.error().code, ErrorCode::kInvalid);
    if (!text.empty()) {
      EXPECT_THAT(issued.error().message, Not(HasSubstr(text.substr(0, 20))));
    }
  }
  EXPECT_FALSE(Issue({.certificate = authority_.certificate, .key = server_.key}).ok());
  EXPECT_FALSE(Issue({.certificate = server_.certificate, .key = authority_.key}).ok());
}

TEST_F(AuthorityTest, NamesThatAreNoneAreRefused) {
  for (const std::string& name :
       {std::string(), std::string("a,IP:1.2.3.4"), std::string("a b"), std::string("*.a"),
        std::string("a\n"), std::string(254, 'a'), std::string("a\0b", 3)})
    EXPECT_FALSE(IssueServerCertificate(authority_, {name}, {.lifetime = kMonth}, kNow).ok());
  EXPECT_FALSE(IssueServerCertificate(authority_, {}, {.lifetime = kMonth}, kNow).ok());
  // A namespace of 63 letters, the longest there is.
  const auto names = ServerNames("backfill-coordinator", std::string(63, 'n'));
  EXPECT_TRUE(IssueServerCertificate(authority_, names, {.lifetime = kMonth}, kNow).ok());
}

TEST_F(AuthorityTest, OfATextOnlyItsCertificatesArePublished) {
  const std::string bundle = CertificatesOnly("# of mine\n" + authority_.key +
                                              authority_.certificate + server_.certificate);
  EXPECT_EQ(bundle, authority_.certificate + server_.certificate);
  EXPECT_EQ(CertificatesOnly(authority_.certificate +
                             server_.certificate.substr(0, server_.certificate.size() / 2)),
            "");
}

TEST_F(AuthorityTest, TimesFarAwayAreTakenForTheLastOnes) {
  const CertificateAndKey old =
      MakeAuthority({.lifetime = std::chrono::hours(24 * 365 * 170)}, At(kYear * 10)).value();
  const CertificateFacts facts = ReadCertificate(old.certificate).value();
  EXPECT_GT(facts.not_after - facts.not_before, std::chrono::hours(24 * 365 * 100));
}

}  // namespace
}  // namespace backfill::certificates
