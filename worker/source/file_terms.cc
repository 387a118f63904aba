#include "worker/source/file_terms.h"

namespace backfill::worker {

Result<rows::FileFormat> FormatOf(const v1::FileSource& file) {
  rows::FileFormat format{.key = file.key()};
  if (file.format() == v1::FILE_FORMAT_LINES) {
    format.format = rows::Format::kLines;
  } else if (file.format() == v1::FILE_FORMAT_CSV) {
    format.format = rows::Format::kCsv;
  } else if (file.format() == v1::FILE_FORMAT_NDJSON) {
    format.format = rows::Format::kNdJson;
  } else {
    return Error{ErrorCode::kInvalid, "the file has a format that this worker does not know"};
  }
  if (!file.delimiter().empty()) format.delimiter = file.delimiter().front();
  format.fields.assign(file.fields().begin(), file.fields().end());
  return format;
}

rows::HttpOptions HttpOptionsOf(const v1::FileSource& file) {
  rows::HttpOptions http;
  http.ca_file = file.tls().ca_file();
  http.cert_file = file.tls().cert_file();
  http.key_file = file.tls().key_file();
  http.secret_headers = SecretsOf(file.secret_headers());
  return http;
}

std::vector<SecretHeader> SecretsOf(
    const google::protobuf::RepeatedPtrField<v1::SecretHeader>& headers) {
  std::vector<SecretHeader> secrets;
  for (const v1::SecretHeader& h : headers) {
    secrets.push_back({.name = h.name(),
                       .prefix = h.prefix(),
                       .file = h.file(),
                       .env = h.env(),
                       .base64 = h.base64()});
  }
  return secrets;
}

}  // namespace backfill::worker
