#include "operator/kube/client/credentials.h"

#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/worker/target/certificates.h"

namespace backfill::kube {
namespace {

using fakes::Authority;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

Time Soon() { return std::chrono::steady_clock::now() + seconds(10); }

class FileCredentialsTest : public testing::Test {
 protected:
  FileCredentialsTest() {
    std::string path = (std::filesystem::temp_directory_path() / "backfill-cred-XXXXXX").string();
    if (::mkdtemp(path.data()) == nullptr) std::abort();
    dir_ = path;
  }
  ~FileCredentialsTest() override { std::filesystem::remove_all(dir_); }

  std::string File(const std::string& name, const std::string& text) const {
    std::ofstream(dir_ / name) << text;
    return dir_ / name;
  }
  std::string Read(const std::string& name) const {
    std::stringstream text;
    text << std::ifstream(dir_ / name).rdbuf();
    return text.str();
  }
  // The message of what is refused, "" if it is not.
  static std::string Refusal(const CredentialFiles& files) {
    const auto loaded = MakeFileCredentials(files)->Load(Soon(), {});
    if (loaded.ok()) return "";
    EXPECT_EQ(loaded.error().code, ErrorCode::kUnauthenticated);
    return loaded.error().message;
  }

  std::filesystem::path dir_;
};

TEST_F(FileCredentialsTest, ReadsEachTimeAndTrimsTokens) {
  const auto source = MakeFileCredentials({.token_file = File("token", " t0ken\n")});
  EXPECT_EQ(source->Load(Soon(), {})->token, "t0ken");
  File("token", "next\n");
  EXPECT_EQ(source->Load(Soon(), {})->token, "next");
  EXPECT_EQ(MakeFileCredentials({.token = "x"})->Load(Soon(), {})->token, "x");
  EXPECT_EQ(MakeFileCredentials({})->Load(Soon(), {})->token, "");
}

TEST_F(FileCredentialsTest, ATokenIsNeverSaid) {
  for (const std::string& token : {std::string(), std::string(" \n"), std::string("s3cret s3cret"),
                                   std::string("s3cret\nX-Header: y"), std::string("s3cret\0", 7),
                                   std::string("s3cret\xc3"), std::string(100'000, 's')}) {
    const std::string refusal = Refusal({.token_file = File("token", token)});
    EXPECT_THAT(refusal, HasSubstr((dir_ / "token").string()));
    EXPECT_THAT(refusal, Not(HasSubstr("s3cret")));
    EXPECT_THAT(refusal, Not(HasSubstr("sss")));
  }
}

TEST_F(FileCredentialsTest, WhatIsNoFileIsSaidAndNotWaitedFor) {
  EXPECT_THAT(Refusal({.token_file = dir_ / "absent"}), HasSubstr("absent"));
  EXPECT_THAT(Refusal({.ca_file = dir_}), HasSubstr("not a regular file"));
  EXPECT_THAT(Refusal({.token_file = "/dev/zero"}), HasSubstr("not a regular file"));
  ASSERT_EQ(::mkfifo((dir_ / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(Refusal({.token_file = dir_ / "pipe"}), HasSubstr("not a regular file"));
  std::filesystem::resize_file(File("large", "x"), 8 << 20);
  EXPECT_THAT(Refusal({.ca_file = dir_ / "large"}), HasSubstr("larger than"));
  EXPECT_THAT(Refusal({.ca_file = File("empty", "")}), HasSubstr("is empty"));
}

TEST_F(FileCredentialsTest, CertificatesAreLookedAtBeforeAHandshake) {
  const Authority one("one"), two("two");
  one.WriteTo(dir_ / "one");
  two.WriteTo(dir_ / "two");
  const std::string both = Read("one") + "\n# and\n" + Read("two");
  EXPECT_EQ(Refusal({.ca_pem = both}), "");
  EXPECT_THAT(Refusal({.ca_file = File("ca", "no certificate")}),
              HasSubstr((dir_ / "ca").string()));
  EXPECT_THAT(Refusal({.ca_pem = both.substr(0, both.size() - 100)}), HasSubstr("authority"));
  one.Issue("DNS:a").WriteTo(dir_ / "cert", dir_ / "key");
  one.Issue("DNS:b").WriteTo(dir_ / "other.cert", dir_ / "other.key");
  EXPECT_EQ(Refusal({.certificate_file = dir_ / "cert", .key_file = dir_ / "key"}), "");
  EXPECT_THAT(Refusal({.certificate_file = dir_ / "cert"}), HasSubstr("together"));
  EXPECT_THAT(Refusal({.certificate_file = dir_ / "cert", .key_file = dir_ / "other.key"}),
              HasSubstr("not that of"));
  EXPECT_THAT(Refusal({.certificate_file = dir_ / "cert", .key_file = dir_ / "cert"}),
              HasSubstr("key cannot be read"));
  EXPECT_THAT(Refusal({.certificate_file = dir_ / "key", .key_file = dir_ / "key"}),
              HasSubstr("certificate cannot be read"));
}

}  // namespace
}  // namespace backfill::kube
