#include "rows/csv_parser.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <utility>

#include "base/nearest.h"
#include "rows/key_rules.h"
#include "rows/row_faults.h"

namespace backfill::rows {
namespace {

// A column as it stands, quotes included.
std::string_view RawColumn(const RowBatch& batch, const Row& row, std::size_t column) {
  const std::uint32_t* const marks = batch.marks + row.first_mark;
  const std::size_t begin = column == 0 ? row.begin : marks[column - 1] + 1;
  const std::size_t end = column == row.marks ? row.begin + row.size : marks[column];
  return {batch.data + begin, end - begin};
}

// Control characters that are sought, and so are none of the batch's, are in quotes only.
bool IsKeyOf(const RowBatch& batch, const Row& row, std::string_view key) {
  return batch.plain && !row.quoted ? IsPlainKey(key) : IsKey(key);
}

bool IsQuoted(std::string_view raw) { return !raw.empty() && raw.front() == '"'; }

std::string_view WithoutQuotes(std::string_view raw) { return raw.substr(1, raw.size() - 2); }

// Doubled quotes are one.
std::string Undouble(std::string_view inside) {
  std::string text;
  text.reserve(inside.size());
  for (std::size_t i = 0; i < inside.size(); ++i) {
    text += inside[i];
    if (inside[i] == '"') ++i;
  }
  return text;
}

std::string Quoted(std::string_view name) { return "\"" + std::string(name) + "\""; }

// Without what a reader would overlook: blanks around it, and upper and lower case.
std::string Plain(std::string_view name) {
  constexpr std::string_view kBlanks = " \t\u00a0";
  const std::size_t first = name.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  std::string plain(name.substr(first, name.find_last_not_of(kBlanks) - first + 1));
  std::transform(plain.begin(), plain.end(), plain.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return plain;
}

// Whether a header that was taken for one column has that name if it is cut at `delimiter`.
bool HasBetween(std::string_view header, std::string_view name, char delimiter) {
  for (std::size_t begin = 0; begin <= header.size();) {
    const std::size_t end = std::min(header.find(delimiter, begin), header.size());
    if (Plain(header.substr(begin, end - begin)) == Plain(name)) return true;
    begin = end + 1;
  }
  return false;
}

// Excel writes line breaks into names, in quotes; anywhere else control characters say that the
// file is not what it is taken for. Empty: there is none.
std::string ControlInHeader(std::string_view raw) {
  if (IsQuoted(raw)) return {};
  const auto control = std::find_if(raw.begin(), raw.end(), IsControl);
  if (control == raw.end()) return {};
  if (*control == '\r') return "has a carriage return (CR) in its name; lines end with LF or CR LF";
  if (*control == '\0') return "has a NUL in its name; is the file UTF-16? Only UTF-8 is read";
  if (*control == '\t') return "has a tab in its name; is that the delimiter?";
  return "has a control character in its name";
}

}  // namespace

std::string Listed(const std::vector<std::string>& columns) {
  constexpr std::size_t kShown = 20;
  std::string text;
  for (std::size_t i = 0; i < columns.size() && i < kShown; ++i)
    text += (i > 0 ? ", " : "") + Quoted(columns[i]);
  if (columns.size() > kShown) text += ", and " + std::to_string(columns.size() - kShown) + " more";
  return text;
}

std::string HintOnColumn(std::string_view name, const std::vector<std::string>& columns,
                         char delimiter) {
  if (columns.size() == 1) {
    if (columns.front().starts_with("sep=") || columns.front().starts_with('#'))
      return "; the header is the first line, so leave out what stands before it";
    for (const char other : {',', ';', '|', ':'}) {
      if (other != delimiter && HasBetween(columns.front(), name, other))
        return std::string("; is the delimiter '") + other + "'?";
    }
  }
  for (const std::string& column : columns) {
    if (Plain(column) == Plain(name)) return "; did you mean " + Quoted(column) + "?";
  }
  const auto near = Nearest(name, columns);
  return near ? "; did you mean " + Quoted(*near) + "?" : "";
}

Result<std::vector<std::string>> ParseCsvHeader(const RowBatch& batch, const Row& row) {
  const auto invalid = [&](const std::string& what) {
    return Error{ErrorCode::kInvalid, AtLine(row) + what};
  };
  if (const Fault fault = FaultOf(batch, row); fault != Fault::kNone)
    return Error{ErrorCode::kInvalid, ProblemOf(fault, row)}.Annotate("the header");
  if (row.marks >= kMaxColumns) {
    return invalid("the header has " + std::to_string(row.marks + 1) + " columns; at most " +
                   std::to_string(kMaxColumns) + " are read");
  }
  std::vector<std::string> names;
  std::map<std::string, std::size_t> seen;
  for (std::size_t i = 0; i <= row.marks; ++i) {
    const std::string_view raw = RawColumn(batch, row, i);
    std::string name = IsQuoted(raw) ? Undouble(WithoutQuotes(raw)) : std::string(raw);
    const std::string at = "column " + std::to_string(i + 1) + " of the header ";
    if (name.empty()) return invalid(at + "has no name");
    if (const std::string control = ControlInHeader(raw); !control.empty())
      return invalid(at + control);
    if (name.size() > kMaxKeyBytes)
      return invalid(at + "has a name of " + std::to_string(name.size()) + " bytes; at most " +
                     std::to_string(kMaxKeyBytes) + " are read");
    const auto [other, fresh] = seen.emplace(name, i + 1);
    if (!fresh) {
      return invalid(at + "is called " + Quoted(name) + " as is column " +
                     std::to_string(other->second));
    }
    names.push_back(std::move(name));
  }
  return names;
}

Result<std::unique_ptr<CsvParser>> CsvParser::Make(const FileFormat& format,
                                                   std::vector<std::string> header) {
  const char d = format.delimiter;
  if (static_cast<unsigned char>(d) >= 0x80 || d == '"' || d == '\n' || d == '\r' || d == 0) {
    return Error{ErrorCode::kInvalid,
                 "the delimiter of a Csv file is one ASCII character other than a quote or a line "
                 "break"};
  }
  const auto key = std::find(header.begin(), header.end(), format.key);
  if (key == header.end()) {
    return Error{ErrorCode::kInvalid, "no column is called " + Quoted(format.key) +
                                          "; the header has " + Listed(header) +
                                          HintOnColumn(format.key, header, d)};
  }
  const auto column = static_cast<std::size_t>(key - header.begin());
  return std::unique_ptr<CsvParser>(new CsvParser(std::move(header), column));
}

inline Fault CsvParser::Check(const RowBatch& batch, const Row& row) const {
  if (const Fault fault = FaultOf(batch, row); fault != Fault::kNone) return fault;
  return row.marks + 1 == names_.size() ? Fault::kNone : Fault::kColumns;
}

inline std::string_view CsvParser::Column(const RowBatch& batch, const Row& row,
                                          std::size_t column) {
  const std::string_view raw = RawColumn(batch, row, column);
  if (!row.quoted || !IsQuoted(raw)) return raw;
  const std::string_view inside = WithoutQuotes(raw);
  if (inside.find('"') == std::string_view::npos) return inside;
  return unquoted_.emplace_back(Undouble(inside));
}

inline KeyOrFault CsvParser::Key(const RowBatch& batch, const Row& row) {
  if (const Fault fault = Check(batch, row); fault != Fault::kNone) return {.fault = fault};
  const std::string_view key = Column(batch, row, key_column_);
  if (!IsKeyOf(batch, row, key)) return {.fault = Fault::kKey};
  return {.key = key};
}

std::span<const KeyOrFault> CsvParser::Keys(const RowBatch& batch) {
  if (!unquoted_.empty()) unquoted_.clear();
  keys_.clear();
  for (const Row& row : batch.rows) keys_.push_back(Key(batch, row));
  return keys_;
}

Record& CsvParser::Parse(const RowBatch& batch, const Row& row) {
  record_.line = row.line;
  record_.fault = Check(batch, row);
  if (record_.fault != Fault::kNone || row.quoted) return ParseOther(batch, row);
  const std::uint32_t* const marks = batch.marks + row.first_mark;
  const char* begin = batch.data + row.begin;
  for (std::size_t i = 0; i < row.marks; ++i) {
    const char* const end = batch.data + marks[i];
    fields_[i] = {begin, static_cast<std::size_t>(end - begin)};
    begin = end + 1;
  }
  fields_[row.marks] = {begin, static_cast<std::size_t>(batch.data + row.begin + row.size - begin)};
  // Not from fields_: the processor would wait for what was just written there in two parts.
  const std::string_view key = RawColumn(batch, row, key_column_);
  if (!IsKeyOf(batch, row, key)) return BadKey(row);
  record_.key = key;
  record_.fields = fields_;
  if (!record_.problem.empty()) record_.problem.clear();
  return record_;
}

// One with quotes, or with a fault that Check() has found.
Record& CsvParser::ParseOther(const RowBatch& batch, const Row& row) {
  unquoted_.clear();
  record_.key = {};
  record_.fields = {};
  record_.problem.clear();
  if (record_.fault == Fault::kColumns) {
    record_.problem = AtLine(row) + std::to_string(row.marks + 1) +
                      (row.marks == 0 ? " column" : " columns") + ", the header has " +
                      std::to_string(names_.size());
    return record_;
  }
  if (record_.fault != Fault::kNone) {
    record_.problem = ProblemOf(record_.fault, row);
    return record_;
  }
  for (std::size_t i = 0; i < fields_.size(); ++i) fields_[i] = Column(batch, row, i);
  if (!IsKey(fields_[key_column_])) return BadKey(row);
  record_.key = fields_[key_column_];
  record_.fields = fields_;
  return record_;
}

Record& CsvParser::BadKey(const Row& row) {
  record_.key = {};
  record_.fields = {};
  record_.fault = Fault::kKey;
  record_.problem = AtLine(row) + "the column " + names_[key_column_] + " " +
                    KeyProblem(fields_[key_column_]).value_or("is no key");
  return record_;
}

}  // namespace backfill::rows
