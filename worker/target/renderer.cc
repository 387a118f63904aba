#include "worker/target/renderer.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <set>
#include <utility>

#include "base/template.h"
#include "worker/target/escape.h"

namespace backfill::worker {
namespace {

std::string Lower(std::string_view s) {
  std::string out(s);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

Error Invalid(std::string message) { return {ErrorCode::kInvalid, std::move(message)}; }

// The sender decides these itself: another value would break the framing or the promise of the
// idempotency key.
bool IsOwnHeader(const std::string& lower) {
  static constexpr std::array<std::string_view, 10> kOwn = {"host",
                                                            "content-length",
                                                            "transfer-encoding",
                                                            "connection",
                                                            "idempotency-key",
                                                            "expect",
                                                            "upgrade",
                                                            "te",
                                                            "trailer",
                                                            "keep-alive"};
  return std::find(kOwn.begin(), kOwn.end(), lower) != kOwn.end();
}

bool IsSecretHeader(const std::string& lower) {
  static constexpr std::array<std::string_view, 8> kMarks = {
      "auth", "cookie", "token", "secret", "passwd", "password", "apikey", "api-key"};
  if (lower.ends_with("-key") && lower != "idempotency-key") return true;
  return std::any_of(kMarks.begin(), kMarks.end(),
                     [&](std::string_view m) { return lower.find(m) != std::string::npos; });
}

bool IsUrlSafe(std::string_view s) {
  return std::all_of(s.begin(), s.end(), [](char c) { return c > 0x20 && c < 0x7F && c != '#'; });
}

// Whether there can be one at all, which is seen quickly.
bool MayHoldDots(std::string_view target) {
  return target.find('.') != std::string_view::npos || target.find('%') != std::string_view::npos;
}

// How many segments of the path are `.` or `..`, as servers and proxies see it: many decode first.
std::size_t DotSegments(std::string_view target) {
  std::size_t found = 0, dots = 0;
  bool other = false;
  const auto end_segment = [&] {
    if (!other && (dots == 1 || dots == 2)) ++found;
    dots = 0;
    other = false;
  };
  for (std::size_t i = 0; i < target.size() && target[i] != '?'; ++i) {
    char c = target[i];
    if (c == '%' && i + 2 < target.size()) {
      const std::string code = Lower(target.substr(i + 1, 2));
      if (code == "2e" || code == "2f" || code == "5c") {
        c = code == "2e" ? '.' : '/';
        i += 2;
      }
    }
    if (c == '/') {
      end_segment();
    } else if (c == '.') {
      ++dots;
    } else {
      other = true;
    }
  }
  end_segment();
  return found;
}

// Which keys a batch has, beyond its first, last and number: what is left of a batch that was cut
// or sent again in part must not carry the key of another selection. FNV-1a, 64 bits.
void AppendKeysDigest(const std::vector<Record>& records, std::string& out) {
  constexpr std::uint64_t kOffset = 14695981039346656037U, kPrime = 1099511628211U;
  std::uint64_t hash = kOffset;
  for (const Record& record : records) {
    for (const char c : record.key) hash = (hash ^ static_cast<unsigned char>(c)) * kPrime;
    hash = (hash ^ 0xffU) * kPrime;  // ends a key: no byte of UTF-8 is 0xff
  }
  constexpr char kDigits[] = "0123456789abcdef";
  for (int shift = 60; shift >= 0; shift -= 4) out += kDigits[(hash >> shift) & 15U];
}

}  // namespace

Result<Renderer> Renderer::Compile(const RequestTemplate& request, const TemplateNames& names) {
  Renderer r;
  if (!IsHttpToken(request.method)) return Invalid("method: not an HTTP method");
  r.method_ = request.method;
  r.timeout_ = request.timeout;
  r.tls_ = request.tls;
  r.numeric_keys_ = names.numeric_keys;
  r.raw_records_ = names.raw_records;
  r.names_key_ = std::find(names.fields.begin(), names.fields.end(), "key") == names.fields.end();
  if (request.timeout.count() <= 0) return Invalid("timeout: must be positive");
  AppendPercentEncoded(r.key_prefix_, names.backfill_uid);
  r.key_prefix_ += '/';
  for (const std::string& f : names.fields) AppendJsonString(r.field_json_.emplace_back(), f);
  TRY(r.CompileUrl(request.url, names).Annotate("url"));

  std::set<std::string> names_in_use;
  std::string content_type;
  for (const auto& [name, value] : request.headers) {
    const std::string lower = Lower(name);
    if (!IsHttpToken(name))
      return Invalid("headers: \"" + CutToUtf8(name, 64) + "\" is not a header name");
    if (IsOwnHeader(lower)) return Invalid("headers: " + name + " is set by the worker itself");
    names_in_use.insert(lower);
    Text text = TRY(CompileText(value, Place::kHeader, names).Annotate("headers." + name));
    if (lower == "content-type") content_type = Lower(value);
    r.headers_.push_back({name, std::move(text), IsSecretHeader(lower)});
  }

  for (const SecretHeader& h : request.secret_headers) {
    const std::string lower = Lower(h.name);
    if (!IsHttpToken(h.name) || !IsHeaderSafe(h.prefix) || IsOwnHeader(lower) ||
        lower == "content-type")
      return Invalid("secretHeaders: " + CutToUtf8(h.name, 64) + " cannot be set");
    if (!names_in_use.insert(lower).second)
      return Invalid("secretHeaders: " + h.name + " is set twice");
  }
  r.secret_headers_ = request.secret_headers;

  const std::size_t first = request.body.find_first_not_of(" \t\r\n");
  const bool looks_json =
      first != std::string::npos &&
      (request.body[first] == '[' ||
       (request.body[first] == '{' && request.body.compare(first, 2, "{{") != 0));
  const bool json =
      content_type.empty() || content_type.find("json") != std::string::npos || looks_json;
  r.has_body_ = !request.body.empty();
  r.sends_length_ = r.has_body_ || request.method == "POST" || request.method == "PUT" ||
                    request.method == "PATCH";
  const bool form = content_type.find("x-www-form-urlencoded") != std::string::npos;
  const Place place = form ? Place::kFormBody : json ? Place::kJsonBody : Place::kRawBody;
  r.body_ = TRY(CompileText(request.body, place, names).Annotate("body"));
  if (r.has_body_ && content_type.empty()) {
    r.headers_.push_back(
        {"Content-Type", TRY(CompileText("application/json", Place::kHeader, names)), false});
  }
  r.CompileHead();
  return r;
}

// Joins what is the same in every request.
void Renderer::CompileHead() {
  head_ = {" HTTP/1.1\r\nHost: " + authority_ + "\r\nUser-Agent: backfill-worker\r\n"};
  for (HeaderLine& h : headers_) {
    head_.back() += h.name + ": ";
    h.fixed = std::all_of(h.value.segments.begin(), h.value.segments.end(),
                          [](const Segment& s) { return s.kind == Kind::kLiteral; });
    if (h.fixed) {
      for (const Segment& s : h.value.segments) head_.back() += s.literal;
    } else {
      head_.emplace_back();
    }
    head_.back() += "\r\n";
  }
}

Status Renderer::CompileUrl(std::string_view url, const TemplateNames& names) {
  constexpr std::string_view kHttp = "http://", kHttps = "https://";
  https_ = Lower(url.substr(0, kHttps.size())) == kHttps;
  const std::string_view scheme = https_ ? kHttps : kHttp;
  if (Lower(url.substr(0, scheme.size())) != scheme)
    return Invalid("must begin with http:// or https://");
  url.remove_prefix(scheme.size());
  const std::size_t path = std::min(url.find_first_of("/?"), url.size());
  const std::string_view authority = url.substr(0, path);
  if (authority.empty()) return Invalid("has no host");
  if (authority.find("{{") != std::string_view::npos)
    return Invalid("the host cannot hold a placeholder");
  if (authority.find('@') != std::string_view::npos) {
    return Invalid("user and password do not belong in it; use a header");
  }
  if (!IsUrlSafe(authority)) return Invalid("the host holds characters that need escaping");

  std::string_view host = authority;
  std::string_view port = https_ ? "443" : "80";
  const std::size_t colon = authority.rfind(':');
  const std::size_t bracket = authority.rfind(']');
  if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
    host = authority.substr(0, colon);
    port = authority.substr(colon + 1);
  }
  unsigned number = 0;
  const auto [end, ec] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (ec != std::errc() || end != port.data() + port.size() || number == 0 || number > 65535) {
    return Invalid("the port is not a number between 1 and 65535");
  }
  if (host.size() > 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  if (host.empty()) return Invalid("has no host");
  authority_ = authority;
  host_ = host;
  port_ = port;

  std::string target(url.substr(path));
  if (target.empty() || target.front() == '?') target.insert(0, "/");
  path_ = TRY(CompileText(target, Place::kUrl, names));
  for (const Segment& s : path_.segments) {
    if (s.kind == Kind::kLiteral && !IsUrlSafe(s.literal)) {
      return Invalid("holds characters that need escaping, or a fragment");
    }
  }
  std::string shape;
  for (const Segment& s : path_.segments) {
    if (s.kind != Kind::kLiteral && shape.find('?') == std::string::npos) path_has_values_ = true;
    shape += s.kind == Kind::kLiteral ? s.literal : "x";
  }
  literal_dot_segments_ = DotSegments(shape);
  return Ok{};
}

Result<Renderer::Text> Renderer::CompileText(std::string_view text, Place place,
                                             const TemplateNames& names) {
  Text out{.place = place, .segments = {}};
  const auto literal = [&](std::string_view s) {
    if (out.segments.empty() || out.segments.back().kind != Kind::kLiteral)
      out.segments.emplace_back();
    out.segments.back().literal += s;
  };
  const auto constant = [&](const std::string& value, bool json) {
    std::string shown;
    if (json) {
      AppendJsonString(shown, value);
    } else if (place == Place::kJsonBody) {
      AppendJsonEscaped(shown, value);
    } else {
      shown = value;
    }
    if (place != Place::kUrl && place != Place::kFormBody) return literal(shown);
    std::string encoded;
    AppendPercentEncoded(encoded, shown);
    literal(encoded);
  };

  for (const TemplatePart& part : TRY(ParseTemplate(text))) {
    if (part.kind == TemplatePart::Kind::kLiteral) {
      literal(part.text);
      continue;
    }
    const std::string at =
        "line " + std::to_string(part.line) + ", column " + std::to_string(part.column) + ": ";
    const bool json = part.filter == "json";
    if (!json && !part.filter.empty())
      return Invalid(at + "unknown filter \"" + part.filter + "\"; there is json");
    if (part.text == "key") {
      out.segments.push_back({.kind = json ? Kind::kKeyJson : Kind::kKey});
    } else if (part.text == "record") {
      out.segments.push_back({.kind = Kind::kRecord});
    } else if (part.text == "records") {
      out.segments.push_back({.kind = Kind::kRecords});
    } else if (part.text == "ndjson") {
      if (place == Place::kHeader)
        return Invalid(at + "{{ndjson}} has lines and cannot stand in a header");
      out.segments.push_back({.kind = Kind::kNdjson});
    } else if (part.text == "backfill.name") {
      constant(names.backfill_name, json);
    } else if (part.text == "backfill.uid") {
      constant(names.backfill_uid, json);
    } else if (part.text.starts_with("fields.")) {
      const auto it = std::find(names.fields.begin(), names.fields.end(), part.text.substr(7));
      if (it == names.fields.end())
        return Invalid(at + "the source has no field \"" + part.text.substr(7) + "\"");
      out.segments.push_back({.kind = json ? Kind::kFieldJson : Kind::kField,
                              .literal = {},
                              .field = static_cast<std::size_t>(it - names.fields.begin())});
    } else {
      return Invalid(at + "unknown name \"" + part.text + "\"");
    }
  }
  if (place == Place::kHeader) {
    for (const Segment& s : out.segments) {
      if (!IsHeaderSafe(s.literal)) return Invalid("CR, LF and NUL cannot stand in a header");
    }
  }
  return out;
}

Status Renderer::Append(const std::vector<Record>& records, std::string& out,
                        std::string_view more_headers) const {
  out += method_;
  out += ' ';
  const std::size_t path_at = out.size();
  TRY(AppendText(path_, records, out));
  if (path_has_values_) {
    const auto path = std::string_view(out).substr(path_at);
    if (MayHoldDots(path) && DotSegments(path) > literal_dot_segments_)
      return Invalid("url: the value makes a part of the path . or ..");
  }
  std::size_t next = 0;
  for (const HeaderLine& h : headers_) {
    if (h.fixed) continue;
    out += head_[next++];
    TRY(AppendText(h.value, records, out).Annotate("header " + h.name));
  }
  out += head_[next];
  out += more_headers;
  out += "Idempotency-Key: ";
  AppendIdempotencyKey(records, out);
  if (!sends_length_) {
    out += "\r\n\r\n";
    return Ok{};
  }
  // The length stands before the body but is known after it: room for it first, then the number,
  // right-aligned. Leading blanks are legal before a field value.
  constexpr std::size_t kDigits = 10;
  out += "\r\nContent-Length: ";
  const std::size_t length_at = out.size();
  out.append(kDigits, ' ');
  out += "\r\n\r\n";
  const std::size_t body_at = out.size();
  if (has_body_) TRY(AppendText(body_, records, out));
  char digits[kDigits + 1];
  const auto end = std::to_chars(digits, digits + sizeof digits, out.size() - body_at).ptr;
  const auto n = static_cast<std::size_t>(end - digits);
  if (n > kDigits) return Invalid("the body is too large");
  std::copy(digits, end, out.begin() + static_cast<std::ptrdiff_t>(length_at + kDigits - n));
  return Ok{};
}

Status Renderer::AppendText(const Text& text, const std::vector<Record>& records,
                            std::string& out) const {
  for (const Segment& s : text.segments) {
    if (s.kind == Kind::kLiteral) {
      out += s.literal;
      continue;
    }
    if (s.kind == Kind::kKey || s.kind == Kind::kField) {
      const Record& first = records.front();
      const std::string& value = s.kind == Kind::kKey ? first.key : first.fields[s.field];
      switch (text.place) {
        case Place::kUrl:
        case Place::kFormBody:
          AppendPercentEncoded(out, value);
          break;
        case Place::kJsonBody:
          AppendJsonEscaped(out, value);
          break;
        case Place::kRawBody:
          out += value;
          break;
        case Place::kHeader:
          if (!IsHeaderSafe(value)) return Invalid("the value holds CR, LF or NUL");
          out += value;
          break;
      }
      continue;
    }
    if (text.place == Place::kUrl || text.place == Place::kFormBody) {
      std::string json;
      AppendJson(s, records, json);
      AppendPercentEncoded(out, json);
    } else {
      const std::size_t begin = out.size();
      AppendJson(s, records, out);
      // What is written here holds no control characters; what a file has may hold a CR as a blank.
      if (text.place == Place::kHeader && raw_records_ &&
          !IsHeaderSafe(std::string_view(out).substr(begin)))
        return Invalid("the record holds CR");
    }
  }
  return Ok{};
}

void Renderer::AppendJson(const Segment& segment, const std::vector<Record>& records,
                          std::string& out) const {
  switch (segment.kind) {
    case Kind::kLiteral:
    case Kind::kKey:
    case Kind::kField:
      break;  // not JSON: rendered by the caller
    case Kind::kKeyJson:
      if (numeric_keys_) {
        out += records.front().key;
      } else {
        AppendJsonString(out, records.front().key);
      }
      break;
    case Kind::kFieldJson:
      AppendJsonString(out, records.front().fields[segment.field]);
      break;
    case Kind::kRecord:
      AppendRecord(records.front(), out);
      break;
    case Kind::kRecords:
      out += '[';
      for (const Record& r : records) {
        if (&r != &records.front()) out += ',';
        AppendRecord(r, out);
      }
      out += ']';
      break;
    case Kind::kNdjson:
      for (const Record& r : records) {
        AppendRecord(r, out);
        out += '\n';
      }
      break;
  }
}

void Renderer::AppendRecord(const Record& record, std::string& out) const {
  if (raw_records_) {
    out += record.raw;
    return;
  }
  out += names_key_ ? "{\"key\":" : "{";
  if (names_key_) {
    if (numeric_keys_) {
      out += record.key;
    } else {
      AppendJsonString(out, record.key);
    }
  }
  for (std::size_t i = 0; i < record.fields.size(); ++i) {
    if (names_key_ || i > 0) out += ',';
    out += field_json_[i];
    out += ':';
    AppendJsonString(out, record.fields[i]);
  }
  out += '}';
}

void Renderer::AppendIdempotencyKey(const std::vector<Record>& records, std::string& out) const {
  out += key_prefix_;
  AppendPercentEncoded(out, records.front().key);
  if (records.size() == 1) return;
  out += "..";
  AppendPercentEncoded(out, records.back().key);
  out += '/';
  out += std::to_string(records.size());
  out += '-';
  AppendKeysDigest(records, out);
}

std::string Renderer::Describe(const std::vector<Record>& records, std::size_t max_bytes) const {
  std::string out = method_ + (https_ ? " https://" : " http://") + authority_;
  const auto append = [&](const Text& text) {
    const Status done = AppendText(text, records, out);
    if (!done) out += "(" + done.error().message + ")";
  };
  append(path_);
  for (const HeaderLine& h : headers_) {
    out += '\n' + h.name + ": ";
    if (h.secret) {
      out += "(left out)";
    } else {
      append(h.value);
    }
  }
  for (const SecretHeader& h : secret_headers_) out += '\n' + h.name + ": (left out)";
  out += "\nIdempotency-Key: ";
  AppendIdempotencyKey(records, out);
  out += '\n';
  if (has_body_) {
    out += '\n';
    append(body_);
  }
  return CutToUtf8(out, max_bytes);
}

}  // namespace backfill::worker
