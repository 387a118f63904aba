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
  api::HttpTarget target_;
};

TEST_F(LocalFilesTest, ATargetThatNamesNoneNeedsNone) {
  EXPECT_THAT(FindUnreadable(target_), IsEmpty());
  target_.tls = api::HttpTls{"", "", "", "orders"};
  EXPECT_THAT(FindUnreadable(target_), IsEmpty());
}

TEST_F(LocalFilesTest, WhatCanBeReadIsNotLookedInto) {
  setenv("LOCAL_FILES_TEST", "x", 1);
  target_.tls = api::HttpTls{File("ca", "no certificate"), File("c", "x"), File("k", "x"), ""};
  target_.secret_headers = {{"Authorization", "Bearer ", File("token", "x"), ""},
                            {"X-Api-Key", "", "", "LOCAL_FILES_TEST"}};
  EXPECT_THAT(FindUnreadable(target_), IsEmpty());
}

TEST_F(LocalFilesTest, NamesEachThatCannotBeRead) {
  setenv("LOCAL_FILES_TEST", "", 1);
  target_.tls = api::HttpTls{"/x/ca.pem", dir_.path(), File("key", ""), ""};
  target_.secret_headers = {{"Authorization", "Bearer ", "/x/token", ""},
                            {"X-Api-Key", "", "", "LOCAL_FILES_TEST"},
                            {"X-Other-Key", "", "", "LOCAL_FILES_TEST_NOT_SET"}};
  EXPECT_THAT(
      FindUnreadable(target_),
      ElementsAre("spec.target.http.tls.caFile: /x/ca.pem: No such file or directory",
                  "spec.target.http.tls.certFile: " + dir_.path().string() + ": Is a directory",
                  "spec.target.http.tls.keyFile: " + (dir_ / "key").string() + ": is empty",
                  "spec.target.http.secretHeaders[0].file: /x/token: No such file or directory",
                  "spec.target.http.secretHeaders[1].env: LOCAL_FILES_TEST is empty",
                  "spec.target.http.secretHeaders[2].env: LOCAL_FILES_TEST_NOT_SET is not set"));
}

}  // namespace
}  // namespace backfill::cli
