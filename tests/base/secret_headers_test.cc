#include "base/secret_headers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace backfill {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr char kSecret[] = "s3cr3t-of-mine";

class SecretHeadersTest : public testing::Test {
 protected:
  SecretHeadersTest() {
    std::string path = (std::filesystem::temp_directory_path() / "backfill-secret-XXXXXX").string();
    if (mkdtemp(path.data()) == nullptr) std::abort();
    dir_ = path;
  }
  ~SecretHeadersTest() override {
    std::filesystem::remove_all(dir_);
    unsetenv("SECRET_HEADERS_TEST");
  }
  [[nodiscard]] std::string file() const { return dir_ / "token"; }
  void FileHolds(const std::string& text) const {
    const std::filesystem::path next = dir_ / "next";
    std::ofstream(next, std::ios::binary) << text;
    std::filesystem::rename(next, file());
  }
  static void VariableHolds(const std::string& text) {
    setenv("SECRET_HEADERS_TEST", text.c_str(), 1);
  }
  [[nodiscard]] SecretHeader FromFile() const {
    return {.name = "Authorization", .prefix = "Bearer ", .file = file()};
  }
  static std::string Lines(const std::vector<SecretHeader>& headers) {
    const auto loaded = SecretHeaders::Load(headers, "target.http.secretHeaders");
    return loaded.ok() ? loaded->lines() : "error: " + loaded.error().message;
  }

  std::filesystem::path dir_;
};

TEST_F(SecretHeadersTest, ReadsAFileWithoutTheEndOfItsLine) {
  for (const char* end : {"", "\n", "\r\n"}) {
    FileHolds(std::string(kSecret) + end);
    EXPECT_EQ(Lines({FromFile()}), "Authorization: Bearer s3cr3t-of-mine\r\n");
  }
}

TEST_F(SecretHeadersTest, ReadsAVariable) {
  VariableHolds(kSecret);
  EXPECT_EQ(Lines({{.name = "X-Api-Key", .env = "SECRET_HEADERS_TEST"}}),
            "X-Api-Key: s3cr3t-of-mine\r\n");
}

TEST_F(SecretHeadersTest, EncodesForBasicAuthentication) {
  FileHolds("Aladdin:open sesame\n");
  EXPECT_EQ(Lines({{.name = "Authorization", .prefix = "Basic ", .file = file(), .base64 = true}}),
            "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n");
}

TEST_F(SecretHeadersTest, SeveralStandInTheirOrder) {
  FileHolds("a");
  VariableHolds("b");
  EXPECT_EQ(
      Lines({{.name = "X-One", .file = file()}, {.name = "X-Two", .env = "SECRET_HEADERS_TEST"}}),
      "X-One: a\r\nX-Two: b\r\n");
}

TEST_F(SecretHeadersTest, WhatCannotStandInAHeaderIsRefusedWithoutBeingShown) {
  const std::pair<std::string, std::string> cases[] = {
      {"", "is empty"},
      {"\n", "is empty"},
      {"s3cr3t\nof-mine", "holds a line break"},
      {"s3cr3t\n\n", "holds a line break"},
      {"s3cr3t\rof-mine", "holds a line break"},
      {std::string("s3cr3t\0of-mine", 14), "holds a line break or NUL"},
      {"s3cr3t" + std::string(8 * 1024, 'x'), "is longer than 8 KiB"},
  };
  for (const auto& [text, why] : cases) {
    FileHolds(text);
    const auto loaded = SecretHeaders::Load({FromFile()}, "target.http.secretHeaders");
    ASSERT_FALSE(loaded.ok());
    EXPECT_EQ(loaded.error().code, ErrorCode::kInvalid);
    EXPECT_THAT(loaded.error().message,
                HasSubstr("target.http.secretHeaders[0]: file: " + file() + ": " + why));
    EXPECT_THAT(loaded.error().message, Not(HasSubstr("s3cr3t")));
  }
}

TEST_F(SecretHeadersTest, TheLongestIsSent) {
  FileHolds(std::string(8 * 1024, 'x') + "\n");
  EXPECT_THAT(Lines({FromFile()}), testing::SizeIs(8 * 1024 + 24));
}

TEST_F(SecretHeadersTest, WhatIsNotThereIsNamed) {
  EXPECT_THAT(Lines({FromFile()}), HasSubstr(file() + ": No such file or directory"));
  EXPECT_THAT(Lines({{.name = "X", .file = dir_}}), HasSubstr("Is a directory"));
  EXPECT_THAT(Lines({{.name = "X", .env = "SECRET_HEADERS_TEST"}}),
              HasSubstr("env: SECRET_HEADERS_TEST: is not set"));
}

TEST_F(SecretHeadersTest, AChangedFileIsReadAgain) {
  FileHolds("one");
  auto headers = SecretHeaders::Load({FromFile()}, "target.http.secretHeaders");
  ASSERT_TRUE(headers.ok());
  FileHolds("two");
  headers->Refresh();
  EXPECT_EQ(headers->lines(), "Authorization: Bearer two\r\n");
}

TEST_F(SecretHeadersTest, AFileThatCannotBeUsedLeavesTheOldValueUntilOneCan) {
  FileHolds("one");
  auto headers = SecretHeaders::Load({FromFile()}, "target.http.secretHeaders");
  ASSERT_TRUE(headers.ok());
  FileHolds("");
  headers->Refresh();
  EXPECT_EQ(headers->lines(), "Authorization: Bearer one\r\n");
  std::filesystem::remove(file());
  headers->Refresh();
  EXPECT_EQ(headers->lines(), "Authorization: Bearer one\r\n");
  FileHolds("two");
  headers->Refresh();
  EXPECT_EQ(headers->lines(), "Authorization: Bearer two\r\n");
}

TEST_F(SecretHeadersTest, TakesItsValuesOutOfATextHoweverTheyAreWritten) {
  FileHolds("user:pass");
  const auto headers = SecretHeaders::Load(
      {{.name = "Authorization", .prefix = "Basic ", .file = file(), .base64 = true}},
      "target.http.secretHeaders");
  ASSERT_TRUE(headers.ok());
  EXPECT_EQ(headers->Redact("bad: Basic dXNlcjpwYXNz, that is user:pass, user:pass!"),
            "bad: Basic (left out), that is (left out), (left out)!");
}

}  // namespace
}  // namespace backfill
