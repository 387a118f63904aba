#include "rows/row_parser.h"

#include <string>
#include <vector>

#include "memory_source.h"
#include "rows/row_reader.h"

namespace backfill::rows {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Reads a file whole, and shows each record: "key: field|field" or what is wrong with it.
class RowParserTest : public ::testing::Test {
 protected:
  std::vector<std::string> Read(const FileFormat& format, const std::string& file) {
    MemorySource source(file);
    const auto stream = *source.Open(0, kToTheEnd, {});
    RowReader reader(*stream, format.format, format.delimiter);
    std::unique_ptr<RowParser> parser;
    if (format.format != Format::kCsv) parser = *MakeRowParser(format, {});
    std::vector<std::string> shown;
    while (const RowBatch* const batch = *reader.Next({})) {
      std::vector<Quick> keys;
      for (std::size_t i = 0; i < batch->rows.size(); ++i) {
        const Row& row = batch->rows[i];
        if (parser == nullptr) {
          const auto header = ParseCsvHeader(*batch, row);
          if (!header) return {header.error().message};
          auto made = MakeRowParser(format, *header);
          if (!made) return {made.error().message};
          parser = *std::move(made);
          continue;
        }
        if (keys.empty()) keys = KeysOf(*parser, *batch);
        shown.push_back(Show(*parser, *batch, row, keys[i]));
      }
    }
    return shown;
  }

  FileFormat Csv(char delimiter = ',') {
    return {.format = Format::kCsv, .key = "id", .delimiter = delimiter};
  }
  FileFormat NdJson(std::vector<std::string> fields = {}) {
    return {.format = Format::kNdJson, .key = "id", .fields = std::move(fields)};
  }
  FileFormat Lines() { return {}; }

 private:
  // A row as Keys() reads it.
  struct Quick {
    std::string key;
    Fault fault;
  };

  static std::vector<Quick> KeysOf(RowParser& parser, const RowBatch& batch) {
    std::vector<Quick> keys;
    for (const KeyOrFault& k : parser.Keys(batch)) keys.push_back({std::string(k.key), k.fault});
    EXPECT_EQ(keys.size(), batch.rows.size());
    return keys;
  }

  // Keys() must say the same as Parse().
  static std::string Show(RowParser& parser, const RowBatch& batch, const Row& row,
                          const Quick& quick) {
    const Record& record = parser.Parse(batch, row);
    EXPECT_EQ(quick.fault, record.fault) << record.problem;
    EXPECT_EQ(quick.key, record.key);
    EXPECT_EQ(record.problem.empty(), record.fault == Fault::kNone);
    if (record.fault != Fault::kNone) return record.problem;
    std::string shown(record.key);
    char before = ':';
    for (const std::string_view field : record.fields) {
      shown += before;
      shown += field;
      before = '|';
    }
    if (!record.raw.empty()) shown += " " + std::string(record.raw);
    return shown;
  }
};

TEST_F(RowParserTest, CsvHasAllColumnsAsFields) {
  EXPECT_THAT(Read(Csv(), "name,id\nx,1\n\"a, \"\"b\"\"\nc\",2\r\n,3"),
              ElementsAre("1:x|1", "2:a, \"b\"\nc|2", "3:|3"));
}

TEST_F(RowParserTest, CsvTakesOtherDelimiters) {
  EXPECT_THAT(Read(Csv(';'), "id;a\n1;x,y\n"), ElementsAre("1:1|x,y"));
  EXPECT_THAT(Read(Csv('\t'), "id\ta\n1\t\"x\ty\"\n"), ElementsAre("1:1|x\ty"));
  EXPECT_THAT(Read(Csv('|'), "id|a\n1|\n"), ElementsAre("1:1|"));
  EXPECT_THAT(Read(Csv('"'), "id\n"), ElementsAre(HasSubstr("the delimiter of a Csv file")));
}

TEST_F(RowParserTest, CsvSaysWhatIsWrongWithARow) {
  EXPECT_THAT(
      Read(Csv(), "id,a\n1\n2,x,y\n,z\n3,\xFF\n4,b\"c\n5,\"q\"r\n\"6\n7\",ok\n" +
                      std::string(257, 'k') + ",x\n8\t,x\n9,\"open"),
      ElementsAre("line 2: 1 column, the header has 2", "line 3: 3 columns, the header has 2",
                  "line 4: the column id is empty", "line 5: not UTF-8",
                  "line 6: a quote inside an unquoted column, or text behind a closing quote",
                  "line 7: a quote inside an unquoted column, or text behind a closing quote",
                  "line 8: the column id holds the control character U+000A",
                  "line 10: the column id has 257 bytes, a key at most 256",
                  "line 11: the column id holds the control character U+0009",
                  "line 12: a quote that is opened here is never closed"));
}

TEST_F(RowParserTest, CsvRefusesAHeaderThatIsNone) {
  EXPECT_THAT(Read(Csv(), "id,a,id\n"),
              ElementsAre("line 1: column 3 of the header is called \"id\" as is column 1"));
  EXPECT_THAT(Read(Csv(), "\n\nid,,b\n"),
              ElementsAre("line 3: column 2 of the header has no name"));
  EXPECT_THAT(Read(Csv(), "no,b\n1,2\n"),
              ElementsAre("no column is called \"id\"; the header has \"no\", \"b\""));
  EXPECT_THAT(Read(Csv(), "id,\"a\n"), ElementsAre(HasSubstr("line 1: a quote that is opened")));
  EXPECT_THAT(Read(Csv(), "id" + std::string(5'000, ',') + "\n"),
              ElementsAre(HasSubstr("5001 columns")));
}

TEST_F(RowParserTest, CsvHeaderMayBeQuotedAndBehindAByteOrderMark) {
  EXPECT_THAT(Read(Csv(), "\xEF\xBB\xBF\"id\",\"a \"\"b\"\"\"\r\n1,2\r\n"), ElementsAre("1:1|2"));
}

TEST_F(RowParserTest, LinesAreKeysUntrimmed) {
  EXPECT_THAT(Read(Lines(), " a \nb\r\n\n\"c\"\n\xC3\xA4"),
              ElementsAre(" a ", "b", "\"c\"", "\xC3\xA4"));
}

TEST_F(RowParserTest, LinesSayWhatIsWrong) {
  EXPECT_THAT(Read(Lines(), "a\tb\n\x80\n" + std::string(300, 'k') + "\nok\n\x7F\n"),
              ElementsAre("line 1: the line holds the control character U+0009",
                          "line 2: not UTF-8", "line 3: the line has 300 bytes, a key at most 256",
                          "ok", "line 5: the line holds the control character U+007F"));
}

TEST_F(RowParserTest, AKeyMayHoldAControlCharacterNowhere) {
  for (std::size_t size = 1; size < 40; ++size) {
    for (std::size_t at = 0; at < size; ++at) {
      std::string key(size, 'k');
      EXPECT_THAT(Read(Lines(), key), ElementsAre(key));
      key[at] = '\x1F';
      EXPECT_THAT(Read(Lines(), key), ElementsAre(HasSubstr("U+001F"))) << size << " " << at;
    }
  }
}

// Where none is seen anywhere, keys are not looked at one by one. What separates columns is none.
TEST_F(RowParserTest, AControlCharacterInQuotesIsSeenAlsoWhereItSeparatesColumns) {
  EXPECT_THAT(Read(Csv('\t'), "id\ta\n1\tx\n\"2\t\"\tx\n3\t\"\t\"\n"),
              ElementsAre("1:1|x", HasSubstr("U+0009"), "3:3|\t"));
  EXPECT_THAT(Read(Csv('\x7F'),
                   "id\x7F"
                   "a\n1\x7Fx\n\"2\x7F\"\x7Fx\n"),
              ElementsAre("1:1|x", HasSubstr("U+007F")));
  EXPECT_THAT(Read(Csv(), "id,a\n1,\x7F\n2\x7F,x\n"), ElementsAre("1:1|\x7F", HasSubstr("U+007F")));
}

TEST_F(RowParserTest, NdJsonTakesStringsAndWholeNumbersAsKeys) {
  EXPECT_THAT(
      Read(NdJson(), "{\"id\":\"a\\u0062\"}\n {\"x\":{}, \"id\": -17} \r\n{\"i\\u0064\":3}\n"),
      ElementsAre("ab {\"id\":\"a\\u0062\"}", "-17 {\"x\":{}, \"id\": -17}", "3 {\"i\\u0064\":3}"));
}

TEST_F(RowParserTest, NdJsonFieldsAreTheOnesThatAreWanted) {
  EXPECT_THAT(Read(NdJson({"b", "a"}),
                   "{\"id\":1,\"a\":\"x\\ny\",\"b\":[1, 2],\"c\":0}\n{\"id\":2,\"a\":null}\n"),
              ElementsAre("1:[1, 2]|x\ny {\"id\":1,\"a\":\"x\\ny\",\"b\":[1, 2],\"c\":0}",
                          "line 2: the member b is missing"));
}

TEST_F(RowParserTest, NdJsonSaysWhatIsWrongWithARow) {
  EXPECT_THAT(
      Read(NdJson({"f"}),
           "{\"id\":1.5,\"f\":1}\n{\"f\":1}\n[]\n{\"id\":1,\"f\":1\n{\"id\":\"\",\"f\":1}\n"
           "{\"id\":1,\"id\":2,\"f\":1}\n{\"id\":\"\\ud800\",\"f\":1}\n{\"id\":\"\xFF\"}\n"
           "{\"id\":\"\\n\",\"f\":0}\nnull\n{\"id\":[],\"f\":1,}\n"),
      ElementsAre("line 1: the member id is a number with a fraction or an exponent; a key is a "
                  "string or a whole number",
                  "line 2: the member id is missing",
                  "line 3: not valid JSON: expected '{', an object a line, at column 1",
                  "line 4: not valid JSON: the object does not end on its line at column 14",
                  "line 5: the member id is empty", "line 6: the member id occurs twice",
                  "line 7: the member id holds half of a surrogate pair", "line 8: not UTF-8",
                  "line 9: the member id holds the control character U+000A",
                  "line 10: not valid JSON: expected '{', an object a line, at column 1",
                  "line 11: not valid JSON: expected a name in quotes at column 16"));
}

TEST_F(RowParserTest, NdJsonSaysTheSameOfARowWhateverStandsBesideIt) {
  const std::string wrong = "not valid JSON: a string that does not end at column 10";
  EXPECT_THAT(Read(NdJson({"a"}), "{\"id\":1,\"a}\n"), ElementsAre("line 1: " + wrong));
  EXPECT_THAT(Read(NdJson({"a"}), "{\"id\":\"\\n\"}\n{\"id\":1,\"a}\n"),
              ElementsAre(testing::_, "line 2: " + wrong));
}

TEST_F(RowParserTest, NdJsonMembersMayComeInAnotherOrderInEachRow) {
  EXPECT_THAT(
      Read(NdJson({"a", "id", "a"}),
           "{\"id\":1,\"a\":2}\n{\"a\":3,\"id\":4}\n{\"\":0,\"\\u0061\":5,\"id\":6}\n"
           "{\"a\":7,\"a\":8,\"id\":9}\n{\"x\":{},\"id\":9,\"a\":8}\n"),
      ElementsAre("1:2|1|2 {\"id\":1,\"a\":2}", "4:3|4|3 {\"a\":3,\"id\":4}",
                  "6:5|6|5 {\"\":0,\"\\u0061\":5,\"id\":6}", "line 4: the member a occurs twice",
                  "9:8|9|8 {\"x\":{},\"id\":9,\"a\":8}"));
}

TEST_F(RowParserTest, NdJsonRowsMayHaveManyMembers) {
  std::string row = "{";
  for (int i = 0; i < 100; ++i) row += "\"m" + std::to_string(i) + "\":0,";
  row += "\"id\":1,\"" + std::string(300, 'n') + "\":2}";
  EXPECT_THAT(Read(NdJson({"m99", std::string(300, 'n')}), row + "\n" + row + "\n"),
              ElementsAre("1:0|2 " + row, "1:0|2 " + row));
}

TEST_F(RowParserTest, NdJsonNeedsTheNameOfTheKey) {
  EXPECT_EQ(MakeRowParser({.format = Format::kNdJson}, {}).error().code, ErrorCode::kInvalid);
}

}  // namespace
}  // namespace backfill::rows
