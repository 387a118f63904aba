#include "operator/plan/file_planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace backfill::plan {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class FilePlannerTest : public testing::Test {
 protected:
  FilePlannerTest()
      : path_(testing::TempDir() + "file_planner_" + std::to_string(getpid()) + ".csv") {}
  ~FilePlannerTest() override { std::filesystem::remove(path_); }

  void FileHas(const std::string& text) { std::ofstream(path_) << text; }
  Result<Plan> Planned(std::vector<NeededField> needed = {}, const Cutting& cutting = {}) {
    FilePlanner planner(path_, {.format = rows::Format::kCsv, .key = "id"}, std::move(needed));
    return MakePlan(planner, cutting, "work", {});
  }
  std::string WhyNot(std::vector<NeededField> needed = {}) {
    const auto plan = Planned(std::move(needed));
    if (plan.ok()) return "it was planned";
    EXPECT_EQ(plan.error().code, ErrorCode::kInvalid);
    return plan.error().message;
  }

  const std::string path_;
};

TEST_F(FilePlannerTest, CutsRowsIntoShardsThatKnowWhereTheyLie) {
  FileHas("id,a\n1,x\n2,y\n3,z\n");
  const auto plan = Planned({}, {.records_per_shard = 2});
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  EXPECT_EQ(plan->records, 3U);
  ASSERT_EQ(plan->shards.size(), 2U);
  EXPECT_EQ(plan->shards[0].range, (Range{0, 2}));
  EXPECT_EQ(plan->shards[1].range, (Range{2, 3}));
  EXPECT_EQ(plan->shards[1].extent->offset, 13U);
  EXPECT_EQ(plan->shards[1].extent->line, 4U);
  EXPECT_THAT(plan->file->shape.columns, ElementsAre("id", "a"));
  EXPECT_EQ(plan->file->shape.stored_bytes, 17U);
}

TEST_F(FilePlannerTest, SaysWhatIsWrongWithTheRows) {
  FileHas("id,a\n1,x\n1,y\n2\n,z\n");
  const auto plan = Planned();
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  EXPECT_EQ(plan->records, 4U) << "bad rows are records";
  EXPECT_EQ(plan->file->bad_records, 2U);
  EXPECT_EQ(plan->file->bad_by_fault.size(), 2U);
  EXPECT_THAT(plan->file->bad_samples, ElementsAre(HasSubstr("line 4: "), HasSubstr("line 5: ")));
  EXPECT_EQ(plan->file->duplicate_keys, 1U);
  EXPECT_TRUE(plan->file->duplicates_exact);
}

TEST_F(FilePlannerTest, AFieldThatIsNoColumnIsNamedWithTheColumnsThereAre) {
  FileHas("id,price\n1,2\n");
  EXPECT_EQ(WhyNot({{"price", "spec.target.http.url: line 1, column 1"},
                    {"prise", "spec.target.http.body: line 1, column 9"}}),
            "spec.target.http.body: line 1, column 9: {{fields.prise}} is no column of " + path_ +
                "; its columns are \"id\", \"price\"; did you mean \"price\"?");
}

TEST_F(FilePlannerTest, AFileThatCannotBeReadAsDeclaredIsNotTriedAgain) {
  EXPECT_THAT(WhyNot(), HasSubstr("No such file"));
  FileHas("");
  EXPECT_THAT(WhyNot(), HasSubstr("the file is empty"));
  FileHas("name\na\n");
  EXPECT_THAT(WhyNot(), HasSubstr("id"));
}

TEST_F(FilePlannerTest, AnotherFileIsAnotherPlan) {
  FileHas("id\n1\n");
  const std::string hash = Planned()->hash;
  FileHas("id\n2\n");
  EXPECT_NE(Planned()->hash, hash);
  FileHas("id\n1\n");
  EXPECT_EQ(Planned()->hash, hash);
}

TEST_F(FilePlannerTest, AFileWithoutRowsHasNoShards) {
  FileHas("id\n");
  const auto plan = Planned();
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  EXPECT_TRUE(plan->shards.empty());
  EXPECT_TRUE(plan->file.has_value());
}

}  // namespace
}  // namespace backfill::plan
