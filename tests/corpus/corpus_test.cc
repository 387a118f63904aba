// Bad and odd files, and what is said about each: NAME.EXT beside NAME.EXT.expected. An input that
// is refused has the words that a user reads, one that is odd and valid has what was read.
// BACKFILL_UPDATE_GOLDEN=1 rewrites what is expected.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

#include "cli/backfill_file.h"
#include "cli/terminal_text.h"
#include "operator/api/decode.h"
#include "operator/plan/file_planner.h"
#include "rows/open_source.h"
#include "rows/shard_reader.h"
#include "worker/target/escape.h"
#include "worker/target/renderer.h"

namespace backfill {
namespace {

namespace fs = std::filesystem;
using cli::Printable;

constexpr std::string_view kExpected = ".expected";

std::string ReadFile(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) ADD_FAILURE() << "cannot read " << path;
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

std::vector<std::string> Inputs(const std::string& folder) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry :
       fs::directory_iterator(fs::path(BACKFILL_CORPUS) / folder)) {
    if (entry.path().extension() != kExpected) names.push_back(entry.path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

// ---- a file of a Backfill, as `backfill lint` sees it

std::string SaidOf(const api::Decoded& decoded) {
  std::string said;
  for (const api::Problem& problem : decoded.problems) said += cli::ShownProblem(problem) + "\n";
  for (const api::Problem& warning : decoded.warnings) said += cli::ShownWarning(warning) + "\n";
  return said;
}

std::vector<std::string> LinesOf(const api::Backfill& backfill) {
  std::istringstream text(api::ToYaml(backfill));
  std::vector<std::string> lines;
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  return lines;
}

// All of it is long, and nearly the same each time: what is not as in the smallest file.
std::string ReadAs(const api::Backfill& backfill) {
  static const api::Decoded smallest = api::DecodeBackfill(
      "apiVersion: backfill.dev/v1alpha1\nkind: Backfill\nmetadata: {name: a}\nspec:\n"
      "  source: {keys: [a]}\n  target: {http: {url: \"http://orders/{{key}}\"}}\n",
      "");
  std::string differs, lacks;
  std::vector<std::string> usual = LinesOf(*smallest.backfill);
  for (const std::string& line : LinesOf(backfill)) {
    const auto found = std::ranges::find(usual, line);
    if (found == usual.end()) {
      differs += "+ " + Printable(line) + "\n";
    } else {
      usual.erase(found);
    }
  }
  for (const std::string& line : usual) lacks += "- " + line + "\n";
  return differs.empty() && lacks.empty()
             ? "read as the smallest file\n"
             : "read as the smallest file, but for\n" + lacks + differs;
}

std::string ReadYaml(const std::string& name) {
  const api::Decoded decoded = api::DecodeBackfill(ReadFile(name), name);
  return SaidOf(decoded) + (decoded.backfill ? ReadAs(*decoded.backfill) : "");
}

// ---- a file of records, as planning and a worker see it

rows::FileFormat FormatOf(const std::string& name) {
  if (name.find(".csv") != std::string::npos) return {.format = rows::Format::kCsv, .key = "id"};
  if (name.find(".tsv") != std::string::npos)
    return {.format = rows::Format::kCsv, .key = "id", .delimiter = '\t'};
  if (name.find(".ndjson") != std::string::npos)
    return {.format = rows::Format::kNdJson, .key = "id", .fields = {"a"}};
  return {.format = rows::Format::kLines};
}

std::string RowAsRead(const rows::Record& record, const std::vector<std::string>& names) {
  if (record.fault != rows::Fault::kNone) return "bad: " + Printable(record.problem) + "\n";
  std::string row =
      "line " + std::to_string(record.line) + ": key \"" + Printable(record.key) + "\"";
  for (std::size_t i = 0; i < record.fields.size(); ++i)
    row += ", " + Printable(names[i]) + " \"" + Printable(record.fields[i]) + "\"";
  return row + "\n";
}

// The rows of each shard, as a worker reads them.
Result<std::string> RowsOf(const std::string& name, const rows::FileFormat& format,
                           const std::vector<plan::PlannedShard>& shards,
                           const rows::FileShape& shape) {
  constexpr int kMostRows = 12;
  int rows = 0;
  std::string said;
  const auto source = TRY(rows::OpenSource(name, {}, {}));
  const auto reader = TRY(rows::ShardReader::Open(*source, format, shape, {}));
  for (const plan::PlannedShard& shard : shards) {
    auto loaded = TRY(reader->Load(*shard.extent, {}));
    while (const rows::Record* const record = TRY(loaded.Next())) {
      if (++rows <= kMostRows) said += RowAsRead(*record, reader->field_names());
    }
  }
  if (rows > kMostRows) said += "and " + std::to_string(rows - kMostRows) + " more\n";
  return said;
}

std::string ReadRows(const std::string& name) {
  const rows::FileFormat format = FormatOf(name);
  std::vector<plan::NeededField> needed;
  if (format.format == rows::Format::kCsv)
    needed.push_back({"a", "spec.target.http.body: line 1, column 1"});
  plan::FilePlanner planner(name, format, needed);
  const auto shards = planner.Cut({.records_per_shard = 2}, {});
  if (!shards.ok()) return "refused: " + Printable(shards.error().message) + "\n";
  const plan::FileFacts facts = *planner.file();
  std::string said;
  for (const std::string& column : facts.shape.columns)
    said += (said.empty() ? "columns: " : ", ") + Printable(column);
  if (!said.empty()) said += "\n";
  const auto rows = RowsOf(name, format, *shards, facts.shape);
  said += rows.ok() ? *rows : "refused: " + Printable(rows.error().message) + "\n";
  return said + std::to_string(facts.bad_records) + " bad, " +
         std::to_string(facts.duplicate_keys) + " duplicate\n";
}

// ---- a template, in the place that its file's extension names

struct Template {
  worker::RequestTemplate request{
      .method = "POST", .url = "http://orders/", .headers = {}, .body = {}};
  int batch_size = 1;
};

Template TemplateOf(const std::string& name, const std::string& text) {
  Template t;
  const std::string place = fs::path(name).extension();
  if (place == ".url") {
    t.request.url = text;
  } else if (place == ".header") {
    t.request.headers.emplace_back("X-Value", text);
  } else {
    t.request.body = text;
    if (place == ".batch") t.batch_size = 2;
    if (place == ".text") t.request.headers.emplace_back("Content-Type", "text/plain");
    if (place == ".form")
      t.request.headers.emplace_back("Content-Type", "application/x-www-form-urlencoded");
  }
  return t;
}

// The file that has it.
std::string FileOf(const Template& t) {
  const auto quoted = [](const std::string& text) {
    std::string out;
    worker::AppendJsonString(out, text);
    return out;
  };
  std::string headers;
  for (const auto& [name, value] : t.request.headers) headers += quoted(name) + ":" + quoted(value);
  return R"({"apiVersion":"backfill.dev/v1alpha1","kind":"Backfill","metadata":{"name":"n"},)"
         R"("spec":{"source":{"file":{"path":"/f","format":"Csv","key":"id"}},"workers":{"batchSize":)" +
         std::to_string(t.batch_size) + R"(},"target":{"http":{"url":)" + quoted(t.request.url) +
         ",\"headers\":{" + headers + "},\"body\":" + quoted(t.request.body) + "}}}}";
}

// A record that would like to be more than a value.
std::vector<worker::Record> HostileRecords(int batch_size) {
  const std::string key = "7/?a=b&c \"\xC3\xA4";
  const worker::Record record{
      .position = 0, .key = key, .fields = {key, "\",\"admin\":true,\"", "1\r\nX-Evil: 2", ".."}};
  return {static_cast<std::size_t>(batch_size), record};
}

std::string ReadTemplate(const std::string& name) {
  const Template t = TemplateOf(name, ReadFile(name));
  api::Decoded decoded = api::DecodeBackfill(FileOf(t), "");
  for (auto* problems : {&decoded.problems, &decoded.warnings}) {
    for (api::Problem& problem : *problems)
      problem.line = 0;  // which is that of the file around it
  }
  std::string said = SaidOf(decoded);
  if (!decoded.backfill) return said;
  const auto renderer = worker::Renderer::Compile(
      t.request,
      {.backfill_name = "n", .backfill_uid = "u", .fields = {"id", "a", "lines", "dots"}});
  if (!renderer.ok())
    return said + "refused by the worker: " + Printable(renderer.error().message) + "\n";
  std::string sent;
  const Status rendered = renderer->Append(HostileRecords(t.batch_size), sent);
  if (!rendered.ok())
    return said + "the record fails: " + Printable(rendered.error().message) + "\n";
  for (std::size_t at = 0; (at = sent.find("\r\n", at)) != std::string::npos; ++at)
    sent.erase(at, 1);
  return said + "sent:\n" + cli::PrintableLines(sent) + "\n";
}

// ----

struct Case {
  std::string folder;
  std::string name;
  std::function<std::string(const std::string&)> read;
};
void PrintTo(const Case& one, std::ostream* out) { *out << one.folder << "/" << one.name; }

std::vector<Case> Cases() {
  std::vector<Case> cases;
  const auto add = [&cases](const std::string& folder, const auto& read) {
    for (const std::string& name : Inputs(folder)) cases.push_back({folder, name, read});
  };
  add("yaml", ReadYaml);
  for (const char* folder : {"csv", "ndjson", "lines"}) add(folder, ReadRows);
  add("templates", ReadTemplate);
  return cases;
}

class CorpusTest : public testing::TestWithParam<Case> {};

TEST_P(CorpusTest, IsReadRightOrRefusedWithWords) {
  const fs::path folder = fs::path(BACKFILL_CORPUS) / GetParam().folder;
  fs::current_path(folder);  // so that messages name the file alone
  const std::string said = GetParam().read(GetParam().name);
  const fs::path expected = folder / (GetParam().name + std::string(kExpected));
  if (std::getenv("BACKFILL_UPDATE_GOLDEN") != nullptr) {  // NOLINT: no other thread
    std::ofstream(expected) << said;
    return;
  }
  EXPECT_EQ(ReadFile(expected), said) << "of " << folder / GetParam().name;
}

INSTANTIATE_TEST_SUITE_P(Inputs, CorpusTest, testing::ValuesIn(Cases()), [](const auto& test) {
  std::string name = test.param.folder + "_" + test.param.name;
  std::ranges::replace_if(name, [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
});

TEST(CorpusFolderTest, NoExpectationIsWithoutItsInput) {
  int expectations = 0;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(BACKFILL_CORPUS)) {
    if (entry.path().extension() != kExpected) continue;
    ++expectations;
    fs::path input = entry.path();
    EXPECT_TRUE(fs::exists(input.replace_extension())) << entry.path();
  }
  EXPECT_GE(expectations, 100);
}

}  // namespace
}  // namespace backfill
