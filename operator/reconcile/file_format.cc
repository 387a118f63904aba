#include "operator/reconcile/file_format.h"

#include <utility>

#include "operator/api/template_fields.h"

namespace backfill::reconcile {

rows::FileFormat FormatOf(const api::FileSource& source, const api::HttpTarget& target) {
  rows::FileFormat format{.key = source.key};
  switch (source.format) {
    case api::FileFormat::kLines:
      format.format = rows::Format::kLines;
      break;
    case api::FileFormat::kCsv:
      format.format = rows::Format::kCsv;
      if (!source.delimiter.empty()) format.delimiter = source.delimiter.front();
      break;
    case api::FileFormat::kNdJson:
      format.format = rows::Format::kNdJson;
      for (api::TemplateField& field : api::TemplateFields(target))
        format.fields.push_back(std::move(field.name));
      break;
  }
  return format;
}

}  // namespace backfill::reconcile
