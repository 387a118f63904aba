#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/range.h"
#include "base/result.h"
#include "rows/format.h"
#include "rows/row_scanner.h"

namespace backfill::rows {

// A row as its format reads it. The views last until the next call, and no longer than the window.
struct Record {
  Position position = 0;   // index in the file; the header does not count
  std::uint64_t line = 0;  // where it begins, from 1
  std::string_view key = {};
  std::span<const std::string_view> fields = {};  // in the order of field_names()
  std::string_view raw = {};                      // kNdJson: the object as it stands
  Fault fault = Fault::kNone;
  std::string problem = {};  // of a bad row: "line 17: 3 columns, the header has 5"
};

struct KeyOrFault {
  std::string_view key = {};
  Fault fault = Fault::kNone;
};

// One row's bytes to its key and fields, or what is wrong with them. One thread.
class RowParser {
 public:
  virtual ~RowParser() = default;

  // The key alone of each row of the batch, or the same fault as Parse() finds. Valid until the
  // next call of either.
  virtual std::span<const KeyOrFault> Keys(const RowBatch& batch) = 0;

  // All of it. `position` is left to the caller.
  virtual Record& Parse(const RowBatch& batch, const Row& row) = 0;

  [[nodiscard]] virtual const std::vector<std::string>& field_names() const = 0;
};

// For kCsv `header` is the file's first row; the others have none. kInvalid: the format's settings
// make no sense, or the header is wrong, with line and column.
Result<std::unique_ptr<RowParser>> MakeRowParser(const FileFormat& format,
                                                 const std::vector<std::string>& header);

// The names in the first row of a kCsv file. kInvalid: empty or twice the same, bad quotes, ...
Result<std::vector<std::string>> ParseCsvHeader(const RowBatch& batch, const Row& row);

}  // namespace backfill::rows
