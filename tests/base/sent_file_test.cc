#include "base/sent_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

namespace backfill {
namespace {

using ::testing::IsEmpty;

class SentFileTest : public ::testing::Test {
 protected:
  SentFileTest() {
    char name[] = "/tmp/sent_file_test.XXXXXX";
    dir_ = mkdtemp(name);
    path_ = (dir_ / "sent").string();
    fd_ = SentFile::Create(path_).value();
  }
  ~SentFileTest() override {
    close(fd_);
    std::filesystem::remove_all(dir_);
  }
  // Of what stands at that offset, one byte is another one.
  void Damage(off_t at) {
    char byte = 0;
    ASSERT_EQ(pread(fd_, &byte, 1, at), 1);
    byte = static_cast<char>(byte ^ 1);
    ASSERT_EQ(pwrite(fd_, &byte, 1, at), 1);
  }
  ErrorCode CodeOfReading() {
    const auto read = ReadSentFile(path_);
    return read.ok() ? ErrorCode::kInternal : read.error().code;
  }

  std::filesystem::path dir_;
  std::string path_;
  int fd_ = -1;
};

TEST_F(SentFileTest, ANewOneSaysThatNothingWasSent) {
  EXPECT_THAT(*ReadSentFile(path_), IsEmpty());
  struct stat info{};
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST_F(SentFileTest, KeepsTheHighestBoundOfEachLease) {
  SentFile file(fd_);
  EXPECT_TRUE(file.Raise({0}, {1}, 64));
  EXPECT_TRUE(file.Raise({1500}, {3}, 1000));
  EXPECT_TRUE(file.Raise({0}, {1}, 128));
  EXPECT_TRUE(file.Raise({0}, {1}, 64));
  EXPECT_EQ(*ReadSentFile(path_), (SentBounds{{{{0}, {1}}, 128}, {{{1500}, {3}}, 1000}}));
  file.Forget({1500}, {3});
  file.Forget({7}, {7});
  EXPECT_EQ(*ReadSentFile(path_), (SentBounds{{{{0}, {1}}, 128}}));
}

TEST_F(SentFileTest, HasRoomForLeasesThatComeAndGo) {
  SentFile file(fd_);
  for (std::uint32_t i = 1; i < 2000; ++i) {
    EXPECT_TRUE(file.Raise({5}, {i}, i));
    file.Forget({5}, {i});
  }
  EXPECT_THAT(*ReadSentFile(path_), IsEmpty());
}

TEST_F(SentFileTest, SaysNothingOnceThereAreMoreLeasesThanItHasRoomFor) {
  SentFile file(fd_);
  for (std::uint32_t i = 1; i <= SentFile::kLeases; ++i) file.Raise({5}, {i}, i);
  EXPECT_TRUE(ReadSentFile(path_).ok());
  EXPECT_TRUE(file.Raise({6}, {1}, 1)) << "it must not stop the work";
  EXPECT_EQ(CodeOfReading(), ErrorCode::kInvalid);
}

TEST_F(SentFileTest, DamageAnotherBootACutAndAMissingFileAreNoticed) {
  SentFile file(fd_);
  file.Raise({0}, {1}, 64);
  Damage(32 + 8);  // the bound
  EXPECT_EQ(CodeOfReading(), ErrorCode::kInvalid);
  Damage(32 + 8);
  EXPECT_TRUE(ReadSentFile(path_).ok());
  Damage(16);  // the boot
  EXPECT_EQ(CodeOfReading(), ErrorCode::kInvalid);
  Damage(16);
  ASSERT_EQ(ftruncate(fd_, 1000), 0);
  EXPECT_EQ(CodeOfReading(), ErrorCode::kInvalid);
  std::filesystem::remove(path_);
  EXPECT_EQ(CodeOfReading(), ErrorCode::kNotFound);
}

TEST_F(SentFileTest, WhatCannotBeWrittenIsNotPromised) {
  SentFile file(-1);
  EXPECT_FALSE(file.Raise({0}, {1}, 64));
  EXPECT_FALSE(SentFile::Create(path_).ok()) << "it is never taken over from another process";
}

}  // namespace
}  // namespace backfill
