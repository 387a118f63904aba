#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "worker/engine/record.h"
#include "worker/target/request_template.h"

namespace backfill::worker {

// A request template compiled once, rendered for every request as bytes of HTTP/1.1.
//
// Values are escaped for the place where they stand: percent-encoded in the url and in the body of
// a form (its Content-Type says so), as the inside of a JSON string in a JSON body (likewise, or it
// begins with { or [), refused in a header if they hold CR, LF or NUL. In any other body they stand
// as they are. The names {{record}}, {{records}}, {{ndjson}} and the filter |json give JSON, which
// in a JSON body needs no escaping. Immutable; any number of threads may render.
class Renderer {
 public:
  // kInvalid: what no retry can heal, such as an unknown name, a url that is neither
  // http:// nor https://, a forbidden header.
  static Result<Renderer> Compile(const RequestTemplate& request, const TemplateNames& names);

  // Appends the whole request for these records. kInvalid: a value cannot stand in a header, or
  // makes a segment of the path `.` or `..`, and so means another place; `out` is then of no use.
  // `more_headers` are lines of the head that go out as they are.
  Status Append(const std::vector<Record>& records, std::string& out,
                std::string_view more_headers = {}) const;

  // The same for people: method, url, headers without the values of credentials, body; cut to
  // `max_bytes`.
  [[nodiscard]] std::string Describe(const std::vector<Record>& records,
                                     std::size_t max_bytes) const;

  [[nodiscard]] const std::string& method() const { return method_; }
  [[nodiscard]] const TlsSettings& tls() const { return tls_; }
  // Not a part of what is rendered: the sender knows the values.
  [[nodiscard]] const std::vector<SecretHeader>& secret_headers() const { return secret_headers_; }
  [[nodiscard]] bool https() const { return https_; }
  [[nodiscard]] const std::string& host() const { return host_; }  // without brackets
  [[nodiscard]] const std::string& port() const { return port_; }
  [[nodiscard]] std::chrono::milliseconds timeout() const { return timeout_; }

 private:
  enum class Kind { kLiteral, kKey, kKeyJson, kField, kFieldJson, kRecord, kRecords, kNdjson };
  enum class Place { kUrl, kHeader, kJsonBody, kFormBody, kRawBody };
  struct Segment {
    Kind kind = Kind::kLiteral;
    std::string literal = {};
    std::size_t field = 0;
  };
  struct Text {
    Place place = Place::kRawBody;
    std::vector<Segment> segments;
  };
  struct HeaderLine {
    std::string name;
    Text value;
    bool secret = false;
    bool fixed = false;  // the value is the same in every request, and in head_
  };

  Renderer() = default;
  static Result<Text> CompileText(std::string_view text, Place place, const TemplateNames& names);
  Status CompileUrl(std::string_view url, const TemplateNames& names);
  void CompileHead();
  Status AppendText(const Text& text, const std::vector<Record>& records, std::string& out) const;
  void AppendJson(const Segment& segment, const std::vector<Record>& records,
                  std::string& out) const;
  void AppendRecord(const Record& record, std::string& out) const;
  void AppendIdempotencyKey(const std::vector<Record>& records, std::string& out) const;

  std::string method_;
  bool https_ = false;
  TlsSettings tls_;
  std::vector<SecretHeader> secret_headers_;
  std::string authority_;  // as in the Host header
  std::string host_;
  std::string port_;
  std::chrono::milliseconds timeout_{};
  bool sends_length_ = false;  // a Content-Length, also of an empty body
  bool has_body_ = false;
  bool numeric_keys_ = false;
  bool raw_records_ = false;
  bool names_key_ = true;                // {"key":..}, unless a field is called so
  std::string key_prefix_;               // "<uid>/", percent-encoded
  std::vector<std::string> field_json_;  // field names as JSON strings
  Text path_;
  bool path_has_values_ = false;          // before the query
  std::size_t literal_dot_segments_ = 0;  // of the path as the user wrote it
  std::vector<HeaderLine> headers_;
  // From behind the path to the end of these headers: what stands around the values that differ.
  std::vector<std::string> head_;
  Text body_;
};

}  // namespace backfill::worker
