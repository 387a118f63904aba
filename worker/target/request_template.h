#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "base/secret_headers.h"

namespace backfill::worker {

// Paths of PEM files, read by whoever connects. Each may be empty.
struct TlsSettings {
  std::string ca_file = {};  // the only certificates that are trusted; else the system's
  std::string cert_file = {}, key_file = {};  // both or none
  std::string server_name = {};  // that the certificate must have; else the host of the url
};

// An HTTP request with placeholders, as the user wrote it.
struct RequestTemplate {
  std::string method;
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::chrono::milliseconds timeout{5000};
  TlsSettings tls = {};  // for https://
  std::vector<SecretHeader> secret_headers = {};
};

// What placeholders can refer to beside the record.
struct TemplateNames {
  std::string backfill_name;
  std::string backfill_uid;
  std::vector<std::string> fields;  // Source::field_names()
  bool numeric_keys = false;        // the JSON literal of a key is a number
  bool raw_records = false;         // a record's JSON is Record::raw
};

}  // namespace backfill::worker
