#include "rows/pieces.h"

#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <vector>

#include "memory_source.h"
#include "reference.h"
#include "rows/crc32c.h"
#include "rows/row_reader.h"

namespace backfill::rows {
namespace {

struct Cut {
  std::vector<Extent> extents;
  std::uint64_t count = 0;
};

Result<Cut> CutFile(const std::string& file, Pieces::Limits limits, std::uint64_t join,
                    std::vector<std::size_t> steps = {}) {
  MemorySource source(file);
  source.ReadInSteps(std::move(steps));
  const auto stream = *source.Open(0, kToTheEnd, {});
  RowReader reader(*stream, Format::kLines, ',');
  Pieces pieces(limits);
  while (const RowBatch* const batch = *reader.Next({})) TRY(pieces.Add(*batch));
  Cut cut{.extents = pieces.Finish(join)};
  cut.count = pieces.count();
  return cut;
}

// Each extent begins and ends with a row, knows its bytes, and together they have all rows.
void Check(const std::string& file, const std::vector<Extent>& extents, std::uint64_t most) {
  const auto rows = ReadByReference(file, Format::kLines, ',');
  std::size_t next = 0;
  for (const Extent& e : extents) {
    RC_ASSERT(e.records > 0U && e.records <= most);
    RC_ASSERT(e.first == static_cast<Position>(next));
    RC_ASSERT(next + e.records <= rows.size());
    RC_ASSERT(e.offset == rows[next].offset);
    RC_ASSERT(e.line == rows[next].line);
    next += e.records;
    RC_ASSERT(e.offset + e.bytes == rows[next - 1].end);
    RC_ASSERT(e.crc32c == Crc32c(0, {file.data() + e.offset, static_cast<std::size_t>(e.bytes)}));
  }
  RC_ASSERT(next == rows.size());
}

RC_GTEST_PROP(PiecesTest, CoverTheFileHoweverItComesAndIsJoined, ()) {
  const auto file =
      *rc::gen::scale(8.0, rc::gen::container<std::string>(
                               rc::gen::weightedElement<char>({{2, 'a'}, {2, '\n'}, {1, '\r'}})));
  const auto records = *rc::gen::inRange<std::uint64_t>(1, 5);
  const auto join = *rc::gen::inRange<std::uint64_t>(1, 20);
  const auto steps = *rc::gen::nonEmpty(
      rc::gen::container<std::vector<std::size_t>>(rc::gen::inRange<std::size_t>(1, 40)));
  const auto cut = CutFile(file, {.records = records}, join, steps);
  Check(file, cut->extents, std::max(records, join));
  // What is read at once makes no difference, so a plan is the same anywhere.
  RC_ASSERT(cut->extents == CutFile(file, {.records = records}, join)->extents);
}

RC_GTEST_PROP(PiecesTest, AreJoinedOnTheWayWhenThereAreTooMany, ()) {
  std::string file;
  const auto rows = *rc::gen::inRange(0, 300);
  for (int i = 0; i < rows; ++i) file += std::to_string(i) + (i % 7 == 0 ? "\n\n" : "\n");
  const auto cut = CutFile(file, {.records = 1, .pieces = 16}, 1);
  RC_ASSERT(cut->extents.size() <= 16U);
  Check(file, cut->extents, 1'000);
}

TEST(PiecesTest, StayBelowFourMebibytes) {
  const std::string row(300'000, 'x');
  std::string file;
  for (int i = 0; i < 40; ++i) file += row + "\n";
  const auto cut = CutFile(file, {}, 1'000);
  ASSERT_EQ(cut->extents.size(), 4U);  // 13 rows are 3.9 MB
  for (const Extent& e : cut->extents) EXPECT_LE(e.bytes, kMaxShardBytes);
  EXPECT_EQ(cut->extents[0].records, 13U);
}

// Many rows come at once, and the limit lies somewhere among them.
TEST(PiecesTest, AreAsFullAsFourMebibytesAllow) {
  for (const std::size_t size : {7'001U, 65'537U}) {
    std::string file;
    while (file.size() < 2 * kMaxShardBytes) file += std::string(size - 1, 'x') + "\n";
    const auto cut = CutFile(file, {.records = 1'000'000}, 1'000'000);
    for (std::size_t i = 0; i + 1 < cut->extents.size(); ++i)
      EXPECT_EQ(cut->extents[i].records, kMaxShardBytes / size) << size;
    Check(file, cut->extents, kMaxShardBytes / size);
  }
}

TEST(PiecesTest, LeaveARowThatIsTooLongAlone) {
  const std::string file = "a\n\nb\n" + std::string(5 << 20, 'x') + "\n\nc\nd\n";
  for (const std::size_t step : {std::size_t{1} << 24, std::size_t{100'000}}) {
    const auto cut = CutFile(file, {}, 1'000, {step});
    ASSERT_EQ(cut->extents.size(), 3U);
    EXPECT_EQ(cut->extents[1].records, 1U);
    EXPECT_EQ(cut->extents[1].offset, 5U);
    EXPECT_EQ(cut->extents[1].bytes, (5U << 20) + 1);
    EXPECT_EQ(cut->extents[1].line, 4U);
    EXPECT_EQ(cut->extents[1].crc32c, Crc32c(0, file.substr(5, (5U << 20) + 1)));
    EXPECT_EQ(cut->extents[2].records, 2U);
    EXPECT_EQ(cut->extents[2].line, 6U);
  }
}

TEST(PiecesTest, RefuseAFileThatCannotBeHeldInAnyNumberOfShards) {
  std::string file;
  for (int i = 0; i < 12; ++i) file += std::string(kMaxRowBytes + 1, 'x') + "\n";
  const auto cut = CutFile(file, {.records = 1, .pieces = 8}, 1);
  ASSERT_FALSE(cut.ok());
  EXPECT_EQ(cut.error().code, ErrorCode::kInvalid);
}

TEST(PiecesTest, AreOnlyCountedWhenThereAreMoreThanWereAskedFor) {
  const auto cut = CutFile("a\nb\nc\nd\ne\n", {.records = 1, .join = false, .pieces = 2}, 1);
  EXPECT_EQ(cut->count, 5U);
  EXPECT_EQ(cut->extents.size(), 2U);
}

}  // namespace
}  // namespace backfill::rows
