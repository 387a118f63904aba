#include "rows/row_parser.h"

#include <utility>

#include "rows/csv_parser.h"
#include "rows/key_rules.h"
#include "rows/lines_parser.h"
#include "rows/ndjson_parser.h"

namespace backfill::rows {

std::string_view ToString(Fault fault) {
  switch (fault) {
    case Fault::kNone:
      return "none";
    case Fault::kTooLong:
      return "longer than 1 MiB";
    case Fault::kUtf8:
      return "not UTF-8";
    case Fault::kQuotes:
      return "misplaced quotes";
    case Fault::kColumns:
      return "wrong number of columns";
    case Fault::kKey:
      return "no usable key";
    case Fault::kJson:
      return "not valid JSON";
    case Fault::kField:
      return "a field is missing";
  }
  return "unknown";
}

Result<std::unique_ptr<RowParser>> MakeRowParser(const FileFormat& format,
                                                 const std::vector<std::string>& header) {
  switch (format.format) {
    case Format::kLines:
      return std::unique_ptr<RowParser>(std::make_unique<LinesParser>());
    case Format::kCsv: {
      auto parser = TRY(CsvParser::Make(format, header));
      return std::unique_ptr<RowParser>(std::move(parser));
    }
    case Format::kNdJson:
      if (format.key.empty())
        return Error{ErrorCode::kInvalid,
                     "an NdJson file needs the name of the member that is the key"};
      return std::unique_ptr<RowParser>(std::make_unique<NdJsonParser>(format));
  }
  return Error{ErrorCode::kInternal, "an unknown format"};
}

}  // namespace backfill::rows
