#include "cli/source_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

namespace backfill::cli {
namespace {

std::string Resolved(const std::string& path) {
  api::Backfill backfill;
  backfill.spec.source = api::FileSource{path, api::FileFormat::kLines, "", ""};
  ResolveSourceFile(backfill);
  return std::get<api::FileSource>(backfill.spec.source).path;
}

TEST(SourceFileTest, ARelativePathIsSeenFromTheCurrentFolder) {
  const std::string here = std::filesystem::current_path().string();
  EXPECT_EQ(Resolved("data/ids.txt"), here + "/data/ids.txt");
  EXPECT_EQ(Resolved("./a/../ids.txt"), here + "/ids.txt");
  EXPECT_EQ(Resolved("/data/ids.txt"), "/data/ids.txt");
  EXPECT_EQ(Resolved("https://store/a/../ids.txt"), "https://store/a/../ids.txt");
}

TEST(SourceFileTest, WhatMayBeSecretInAUrlIsNotShown) {
  EXPECT_EQ(SourceFileText({"/data/ids.txt", api::FileFormat::kLines, "", ""}),
            "the Lines file /data/ids.txt");
  EXPECT_EQ(SourceFileText({"https://me:pw@store/ids.csv?sig=1", api::FileFormat::kCsv, "id", ""}),
            "the Csv file https://store/ids.csv, key id");
  EXPECT_EQ(SourceFileText({"https://store/a@b.csv", api::FileFormat::kCsv, "id", ""}),
            "the Csv file https://store/a@b.csv, key id");
}

}  // namespace
}  // namespace backfill::cli
