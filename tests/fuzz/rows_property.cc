#include "tests/fuzz/rows_property.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "operator/api/json.h"
#include "rows/file_plan.h"
#include "rows/key_rules.h"
#include "rows/shard_reader.h"
#include "rows/utf8.h"
#include "tests/fuzz/feedback.h"
#include "tests/rows/memory_source.h"
#include "tests/rows/reference.h"

namespace backfill::fuzz {
namespace {

using rows::Fault, rows::FileFormat, rows::Format;

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

struct SeenRow {
  Position position = 0;
  std::uint64_t line = 0;
  std::string key;
  std::vector<std::string> fields;
  std::string raw;
  Fault fault = Fault::kNone;
  std::string problem;
  bool operator==(const SeenRow&) const = default;
};

// All that a file says, or why it says nothing.
struct Reading {
  std::string refused;
  std::vector<SeenRow> rows;
  std::vector<std::string> columns;
  std::uint64_t bad = 0;
  std::uint64_t duplicates = 0;
  bool operator==(const Reading&) const = default;
};

SeenRow Seen(const rows::Record& record) {
  return {.position = record.position,
          .line = record.line,
          .key = std::string(record.key),
          .fields = {record.fields.begin(), record.fields.end()},
          .raw = std::string(record.raw),
          .fault = record.fault,
          .problem = record.problem};
}

// `step`: bytes that a read gives; 0: all at once.
Reading Read(std::string_view file, const FileFormat& format, std::size_t step,
             std::uint64_t records_per_shard) {
  rows::MemorySource source{std::string(file)};
  if (step > 0) source.ReadInSteps({step});
  Reading reading;
  const auto plan = PlanFile(source, format, {.records_per_shard = records_per_shard}, {});
  if (!plan.ok()) {
    reading.refused = plan.error().message;
    return reading;
  }
  reading.columns = plan->shape.columns;
  reading.bad = plan->bad_records();
  reading.duplicates = plan->duplicates.keys;
  const auto reader = rows::ShardReader::Open(source, format, plan->shape, {});
  Require(reader.ok(), "what was planned is opened");
  for (const rows::Extent& extent : plan->shards) {
    auto shard = (*reader)->Load(extent, {});
    Require(shard.ok(), "what was planned is loaded");
    for (;;) {
      const auto record = shard->Next();
      Require(record.ok(), "a shard has the rows that were planned");
      if (*record == nullptr) break;
      reading.rows.push_back(Seen(**record));
    }
  }
  Require(reading.rows.size() == plan->records, "no row is lost, none is invented");
  return reading;
}

void RequireSound(const Reading& reading) {
  std::uint64_t bad = 0;
  Position next = 0;
  for (const SeenRow& row : reading.rows) {
    Require(row.position == next++, "rows are counted one by one");
    Saw(row.problem);
    if (row.fault != Fault::kNone) {
      ++bad;
      Require(row.problem.starts_with("line " + std::to_string(row.line) + ": "),
              "a bad row says what is wrong, and where");
      continue;
    }
    Require(row.problem.empty(), "a good row has no problem");
    Require(rows::IsKey(row.key) && rows::IsUtf8(row.key), "a good row has a key");
    for (const std::string& field : row.fields) Require(rows::IsUtf8(field), "fields are UTF-8");
  }
  Require(bad == reading.bad, "planning and reading find the same bad rows");
}

// The other parser wants more than RFC 8259 does: numbers that fit, whole pairs of surrogates.
bool IsNoFaultByGrammar(const std::string& fault) {
  return fault.find("surrogate") != std::string::npos ||
         fault.find("number overflow") != std::string::npos;
}

void RequireAsReference(std::string_view file, const FileFormat& format, const Reading& reading) {
  auto expected = rows::ReadByReference(std::string(file), format.format, format.delimiter);
  if (format.format == Format::kCsv) expected.erase(expected.begin());
  Require(expected.size() == reading.rows.size(), "as many rows as the slow reader finds");
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const SeenRow& row = reading.rows[i];
    Require(row.line == expected[i].line, "a row begins where the slow reader says");
    if (expected[i].fault != Fault::kNone)
      Require(row.fault == expected[i].fault, "the fault that the slow reader finds");
    if (row.fault != Fault::kNone) continue;
    if (format.format == Format::kLines) Require(row.key == expected[i].text, "the same line");
    if (format.format == Format::kCsv)
      Require(row.fields == expected[i].columns, "the same columns");
    if (format.format != Format::kNdJson) continue;
    if (const auto fault = api::FindJsonFault(row.raw)) {
      Require(IsNoFaultByGrammar(fault->message), "what is read as JSON is JSON");
    }
  }
}

// The other way round: an object that another parser takes is not called bad JSON.
void RequireJsonIsTaken(std::string_view file, const FileFormat& format, const Reading& reading) {
  const auto lines = rows::ReadByReference(std::string(file), format.format, format.delimiter);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const SeenRow& row = reading.rows[i];
    if (row.fault != Fault::kJson || row.problem.find("64 levels") != std::string::npos) continue;
    if (lines[i].text.starts_with(kByteOrderMark)) continue;  // the other one leaves it out
    const bool object = api::ParseJsonObject(lines[i].text).ok();
    Require(!object, "a JSON object is not called bad JSON");
  }
}

}  // namespace

void RequireRowsAgree(std::string_view file, const FileFormat& format) {
  const Reading whole = Read(file, format, 0, 1'000'000);
  Saw(whole.refused);
  Require(Read(file, format, 1, 1) == whole, "byte by byte, a shard for each row");
  Require(Read(file, format, 7, 3) == whole, "seven bytes at a time, three rows a shard");
  if (!whole.refused.empty()) return;
  RequireSound(whole);
  if (file.starts_with(kByteOrderMark)) file.remove_prefix(kByteOrderMark.size());
  RequireAsReference(file, format, whole);
  if (format.format == Format::kNdJson) RequireJsonIsTaken(file, format, whole);
}

}  // namespace backfill::fuzz
