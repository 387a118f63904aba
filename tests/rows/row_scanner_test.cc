#include "rows/row_scanner.h"

#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <vector>

#include "memory_source.h"
#include "reference.h"
#include "rows/row_reader.h"

namespace backfill::rows {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::string Undoubled(std::string_view raw) {
  if (raw.empty() || raw.front() != '"') return std::string(raw);
  std::string text;
  for (std::size_t i = 1; i + 1 < raw.size(); ++i) {
    text += raw[i];
    if (raw[i] == '"') ++i;
  }
  return text;
}

ReferenceRow Shown(const RowBatch& batch, const Row& row, Format format) {
  ReferenceRow shown{.offset = row.offset, .end = row.end, .line = row.line, .fault = row.fault};
  shown.text = batch.Text(row);
  if (format != Format::kCsv || row.fault != Fault::kNone) return shown;
  std::size_t begin = row.begin;
  for (std::uint32_t i = 0; i <= row.marks; ++i) {
    const std::size_t end = i < row.marks ? batch.marks[row.first_mark + i] : row.begin + row.size;
    shown.columns.push_back(Undoubled({batch.data + begin, end - begin}));
    begin = end + 1;
  }
  return shown;
}

// As it comes from a source that gives `steps` bytes at a time.
std::vector<ReferenceRow> ScanInSteps(const std::string& file, Format format,
                                      std::vector<std::size_t> steps, char delimiter = ',') {
  MemorySource source(file);
  source.ReadInSteps(std::move(steps));
  const auto stream = *source.Open(0, kToTheEnd, {});
  RowReader reader(*stream, format, delimiter);
  std::vector<ReferenceRow> rows;
  while (const RowBatch* const batch = *reader.Next({})) {
    for (const Row& row : batch->rows) rows.push_back(Shown(*batch, row, format));
  }
  return rows;
}

std::vector<std::string> Texts(const std::string& file, Format format = Format::kLines) {
  std::vector<std::string> texts;
  for (const ReferenceRow& row : ScanInSteps(file, format, {}))
    texts.push_back((row.fault != Fault::kNone ? "BAD " : "") + row.text);
  return texts;
}

TEST(RowScannerTest, EndsALineAtLfOrCrLfAndTheFile) {
  EXPECT_THAT(Texts("a\nb\r\nc"), ElementsAre("a", "b", "c"));
  EXPECT_THAT(Texts("a\n"), ElementsAre("a"));
  EXPECT_THAT(Texts("a\rb\r"), ElementsAre("a\rb"));
  EXPECT_THAT(Texts(""), IsEmpty());
}

TEST(RowScannerTest, LeavesOutBlankLinesAndCountsThem) {
  const auto rows = ScanInSteps("\n\r\na\n\n\nb\n\n", Format::kLines, {});
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].line, 3U);
  EXPECT_EQ(rows[1].line, 6U);
}

TEST(RowScannerTest, LeavesOutAByteOrderMarkAtTheFrontOnly) {
  EXPECT_THAT(Texts("\xEF\xBB\xBF"
                    "a\n\xEF\xBB\xBF"
                    "b\n"),
              ElementsAre("a",
                          "\xEF\xBB\xBF"
                          "b"));
  const auto rows = ScanInSteps(
      "\xEF\xBB\xBF"
      "a\n",
      Format::kLines, {1});
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].offset, 3U);
}

TEST(RowScannerTest, RefusesUtf16) {
  MemorySource source(
      "\xFF\xFE"
      "a");
  const auto stream = *source.Open(0, kToTheEnd, {});
  RowReader reader(*stream, Format::kLines, ',');
  EXPECT_EQ(reader.Next({}).error().message, "the file is UTF-16; only UTF-8 is read");
}

TEST(RowScannerTest, KeepsQuotedLineBreaksInTheRow) {
  EXPECT_THAT(Texts("1,\"a\nb\"\n2,\"c\r\nd\"\r\n3,e", Format::kCsv),
              ElementsAre("1,\"a\nb\"", "2,\"c\r\nd\"", "3,e"));
}

TEST(RowScannerTest, EndsTheDamageOfAMisplacedQuoteWithTheLine) {
  EXPECT_THAT(Texts("1,5\" pipe\n2,\"a\"b\n3,ok\n", Format::kCsv),
              ElementsAre("BAD 1,5\" pipe", "BAD 2,\"a\"b", "3,ok"));
  EXPECT_THAT(Texts("1,\"a\n2,b\n", Format::kCsv), ElementsAre("BAD 1,\"a\n2,b\n"));
}

// Any text over the bytes that matter, in any steps.
RC_GTEST_PROP(RowScannerTest, FindsWhatTheReferenceFinds, ()) {
  const Format format = *rc::gen::element(Format::kLines, Format::kCsv, Format::kNdJson);
  const auto file = *rc::gen::scale(
      4.0, rc::gen::container<std::string>(rc::gen::weightedElement<char>(
               {{4, 'a'}, {3, '\n'}, {3, '"'}, {3, ','}, {1, '\r'}, {1, ';'}, {1, '\\'}})));
  const auto steps = *rc::gen::nonEmpty(
      rc::gen::container<std::vector<std::size_t>>(rc::gen::inRange<std::size_t>(1, 70)));
  const char delimiter = *rc::gen::element(',', ';');
  const auto rows = ScanInSteps(file, format, steps, delimiter);
  RC_ASSERT(rows == ReadByReference(file, format, delimiter));
  // What lies between rows is blank.
  std::uint64_t covered = 0;
  for (const ReferenceRow& row : rows) covered += row.end - row.offset;
  RC_ASSERT(covered <= file.size());
}

// The same with rows around the limit.
TEST(RowScannerTest, FindsLongRowsInAnySteps) {
  const std::string limit(kMaxRowBytes, 'x');
  const std::vector<std::string> files = {
      limit + "\nshort\n",
      "first\n" + limit + limit + "y\nshort",
      limit + limit,
      "1,\"" + limit + "\n2,b\n\"c\",d\n",                // a quote that is never closed
      "1,\"" + limit + "\"\n2,b\n",                       // one that is, too late
      "1,\"a\nb" + limit.substr(7) + "\"\n2,\"c\nd\"\n",  // within the limit
      std::string(kMaxRowBytes / 2, ',') + "\n" + std::string(kMaxRowBytes + 1, ',') + "\n,,\n",
      "\"" + std::string(kMaxRowBytes + 9, '\n') + "a\n",
  };
  for (std::size_t i = 0; i < files.size(); ++i) {
    for (const Format format : {Format::kCsv, Format::kLines}) {
      if (format == Format::kLines && i > 2) continue;  // quotes are nothing special there
      const auto expected = ReadByReference(files[i], format, ',');
      for (const std::size_t step : {std::size_t{1} << 24, kMaxRowBytes, std::size_t{99'999}})
        EXPECT_TRUE(ScanInSteps(files[i], format, {step}) == expected)
            << "file " << i << " in " << step;
    }
  }
}

}  // namespace
}  // namespace backfill::rows
