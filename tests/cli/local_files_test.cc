#include "cli/local_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "tests/cli/temp_dir.h"

namespace backfill::cli {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class LocalFilesTest : public testing::Test {
 protected:
  ~LocalFilesTest() override { unsetenv("LOCAL_FILES_TEST"); }
  std::string File(const std::string& name, const std::string& text) {
    std::ofstream(dir_ / name) << text;
    return dir_ / name;
  }
  TempDir dir_;
  api::Spec spec_;
};

TEST_F(LocalFilesTest, ATargetThatNamesNoneNeedsNone) {
  EXPECT_THAT(FindUnreadable(spec_), IsEmpty());
  spec_.target.tls = api::HttpTls{"", "", "", "orders"};
  EXPECT_THAT(FindUnreadable(spec_), IsEmpty());
}

TEST_F(LocalFilesTest, WhatCanBeReadIsNotLookedInto) {
  setenv("LOCAL_FILES_TEST", "x", 1);
  spec_.target.tls = api::HttpTls{File("ca", "no certificate"), File("c", "x"), File("k", "x"), ""};
  spec_.target.secret_headers = {{"Authorization", "Bearer ", File("token", "x"), ""},
                                 {"X-Api-Key", "", "", "LOCAL_FILES_TEST"}};
  EXPECT_THAT(FindUnreadable(spec_), IsEmpty());
}

TEST_F(LocalFilesTest, NamesEachThatCannotBeRead) {
  setenv("LOCAL_FILES_TEST", "", 1);
  spec_.target.tls = api::HttpTls{"/x/ca.pem", dir_.path(), File("key", ""), ""};
  spec_.target.secret_headers = {{"Authorization", "Bearer ", "/x/token", ""},
                                 {"X-Api-Key", "", "", "LOCAL_FILES_TEST"},
                                 {"X-Other-Key", "", "", "LOCAL_FILES_TEST_NOT_SET"}};
  EXPECT_THAT(
      FindUnreadable(spec_),
      ElementsAre("spec.target.http.tls.caFile: /x/ca.pem: No such file or directory",
                  "spec.target.http.tls.certFile: " + dir_.path().string() + ": Is a directory",
                  "spec.target.http.tls.keyFile: " + (dir_ / "key").string() + ": is empty",
                  "spec.target.http.secretHeaders[0].file: /x/token: No such file or directory",
                  "spec.target.http.secretHeaders[1].env: LOCAL_FILES_TEST is empty",
                  "spec.target.http.secretHeaders[2].env: LOCAL_FILES_TEST_NOT_SET is not set"));
}

TEST_F(LocalFilesTest, ASourceNeedsItsCredentialsToo) {
  api::FileSource file;
  file.tls = api::HttpTls{"/x/ca.pem", "", "", ""};
  file.secret_headers = {{"Authorization", "Bearer ", "/x/token", ""}};
  spec_.source = file;
  EXPECT_THAT(
      FindUnreadable(spec_),
      ElementsAre("spec.source.file.tls.caFile: /x/ca.pem: No such file or directory",
                  "spec.source.file.secretHeaders[0].file: /x/token: No such file or directory"));
}

}  // namespace
}  // namespace backfill::cli
