#include "operator/reconcile/file_format.h"

#include <utility>

#include "operator/api/template_fields.h"

namespace backfill::reconcile {

rows::FileFormat FormatOf(const api::FileSource& source, const api::Spec& spec) {
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
      for (api::TemplateField& field : api::TemplateFields(spec))
        format.fields.push_back(std::move(field.name));
      break;
  }
  return format;
}

rows::HttpOptions HttpOptionsOf(const api::FileSource& source) {
  rows::HttpOptions options;
  if (source.tls) {
    options.ca_file = source.tls->ca_file;
    options.cert_file = source.tls->cert_file;
    options.key_file = source.tls->key_file;
  }
  for (const api::SecretHeader& header : source.secret_headers) {
    options.secret_headers.push_back({.name = header.name,
                                      .prefix = header.prefix,
                                      .file = header.file,
                                      .env = header.env,
                                      .base64 = header.encode == api::SecretEncoding::kBase64});
  }
  return options;
}

}  // namespace backfill::reconcile
