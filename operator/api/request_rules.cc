#include "operator/api/request_rules.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/nearest.h"
#include "base/template.h"
#include "base/utf8.h"
#include "operator/api/excerpt.h"
#include "operator/api/lower.h"

namespace backfill::api {
namespace {

using Kind = Node::Kind;

constexpr std::string_view kHttp = "http://", kHttps = "https://";

enum class Place { kUrl, kHeader, kBody };

const std::vector<std::string>& NamesFor(bool batches) {
  static const std::vector<std::string> one = {"key", "record", "backfill.name", "backfill.uid"};
  static const std::vector<std::string> many = {"records", "ndjson", "backfill.name",
                                                "backfill.uid"};
  return batches ? many : one;
}

std::string Listed(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "{{" : ", {{") + name + "}}";
  return out;
}

bool NamesBatch(const TemplatePart& part) {
  return part.text == "records" || part.text == "ndjson";
}
bool NamesRecord(const TemplatePart& part) {
  return part.text == "key" || part.text == "record" || part.text.starts_with("fields.");
}

std::string WrongHeaderName(const std::string& name) {
  static constexpr std::string_view kSigns = "!#$%&'*+-.^_`|~";
  static constexpr std::array kOurs = {"host", "content-length", "transfer-encoding", "connection",
                                       "idempotency-key"};
  static constexpr std::array kConnection = {"expect", "keep-alive", "proxy-connection",
                                             "te",     "trailer",    "upgrade"};
  const bool token =
      !name.empty() && name.size() <= 64 && std::ranges::all_of(name, [](unsigned char c) {
        return std::isalnum(c) != 0 || kSigns.find(static_cast<char>(c)) != std::string_view::npos;
      });
  if (!token) return "is no header name; it has 1 to 64 letters, digits or '-'";
  const std::string lower = Lower(name);
  if (std::ranges::count(kOurs, lower) > 0) return "is set by the worker; leave it out";
  if (std::ranges::count(kConnection, lower) > 0)
    return "concerns the connection, which is the worker's; leave it out";
  return "";
}

std::string WrongHeaderValue(std::string_view value) {
  if (value.find_first_of("\r\n") != std::string_view::npos) {
    return "a line break cannot stand in a header; write the value on one line, in quotes";
  }
  const bool printable = std::ranges::all_of(
      value, [](unsigned char c) { return (c >= 0x20U && c < 0x7FU) || c == '\t'; });
  return printable ? "" : "must be printable ASCII characters";
}

// One request: that of the run, or that of the dry run.
class RequestChecker {
 public:
  RequestChecker(const Node& request, std::string path, Integer batch_size, std::string format,
                 Problems& problems)
      : request_(request),
        path_(std::move(path)),
        batch_size_(batch_size),
        format_(std::move(format)),
        problems_(problems) {}

  void CheckUrl() {
    const Node* url = request_.At("url", Kind::kString);
    if (url == nullptr || url->text.empty()) return;
    const auto parts = CheckTemplate(*url, Join(path_, "url"), Place::kUrl);
    if (!parts) return;
    if (const std::string wrong = WrongAddress(*parts); !wrong.empty()) {
      problems_.Add(*url, Join(path_, "url"), wrong);
    }
  }

  void CheckHeaders() {
    const Node* headers = request_.At("headers", Kind::kMap);
    if (headers == nullptr) return;
    std::map<std::string, std::string> seen;
    for (const Member& header : headers->members) {
      const std::string path = Join(Join(path_, "headers"), header.key);
      if (const std::string wrong = WrongHeaderName(header.key); !wrong.empty()) {
        problems_.Add(header.line, header.column, path, wrong);
      }
      const auto [first, fresh] = seen.try_emplace(Lower(header.key), header.key);
      if (!fresh) {
        problems_.Add(
            header.line, header.column, path,
            "is the same header as " + first->second + "; upper and lower case do not count");
      }
      if (!header.value.Is(Kind::kString)) continue;
      if (const std::string wrong = WrongHeaderValue(header.value.text); !wrong.empty()) {
        problems_.Add(header.value, path, wrong);
      } else {
        CheckTemplate(header.value, path, Place::kHeader);
      }
    }
  }

  void CheckBody(bool must_carry_batch) {
    const std::string path = Join(path_, "body");
    const Node* body = request_.At("body", Kind::kString);
    if (body == nullptr) return;
    const auto parts = CheckTemplate(*body, path, Place::kBody);
    if (!parts || !must_carry_batch || batch_size_ <= 1) return;
    if (std::ranges::none_of(*parts, NamesBatch)) {
      problems_.Add(*body, path,
                    "workers.batchSize is " + ToString(batch_size_) +
                        ", so the body must carry the records, as {{records}} or {{ndjson}}");
    }
  }

 private:
  // Reports what is wrong with the template's form and names. Absent: it does not compile.
  std::optional<std::vector<TemplatePart>> CheckTemplate(const Node& text, const std::string& path,
                                                         Place place) {
    auto parts = ParseTemplate(text.text);
    if (!parts.ok()) {
      problems_.Add(text, path, parts.error().message);
      return std::nullopt;
    }
    for (const TemplatePart& part : *parts) {
      if (part.kind != TemplatePart::Kind::kPlaceholder) continue;
      std::string wrong = WrongName(part, place);
      if (wrong.empty()) wrong = WrongFilter(part);
      if (wrong.empty()) continue;
      problems_.Add(text, path,
                    "line " + std::to_string(part.line) + ", column " +
                        std::to_string(part.column) + ": {{" + part.text + "}} " + wrong);
    }
    return std::move(parts).value();
  }

  [[nodiscard]] std::string WrongName(const TemplatePart& part, Place place) const {
    const bool batches = batch_size_ > 1;
    const bool field = part.text.starts_with("fields.");
    const bool has_fields = !format_.empty() && format_ != "Lines";
    if (field && format_ == "Lines") {
      return "cannot be filled in: a line has no fields, it is the {{key}}";
    }
    // Which there are is known once the file is read.
    if (field && part.text == "fields.") return "lacks the name of the column or member";
    if (field && format_.empty()) {
      return "cannot be filled in: the records of range, keys and failuresOf have no fields, "
             "only a {{key}}";
    }
    if (NamesBatch(part)) {
      if (place != Place::kBody) return "can stand in the body only";
      return batches ? ""
                     : "needs a workers.batchSize above 1; for single records write {{record}}";
    }
    if (NamesRecord(part)) {
      if (!batches) return "";
      return "is one record, but workers.batchSize is " + ToString(batch_size_) +
             (place == Place::kBody ? "; write {{records}} or {{ndjson}}, or set it to 1"
                                    : "; set it to 1, or take the records from the body");
    }
    if (std::ranges::count(NamesFor(batches), part.text) > 0) return "";
    if (part.text.starts_with("field.") && has_fields && !batches)
      return "is unknown; did you mean {{fields." + part.text.substr(6) + "}}?";
    const auto near = Nearest(part.text, NamesFor(batches));
    if (near) return "is unknown; did you mean {{" + *near + "}}?";
    return "is unknown; known: " + Listed(NamesFor(batches)) +
           (has_fields && !batches ? ", {{fields.NAME}}" : "");
  }

  static std::string WrongFilter(const TemplatePart& part) {
    if (part.filter.empty()) return "";
    if (part.filter != "json")
      return "has an unknown filter, " + Excerpt(part.filter) + "; there is json";
    return part.text == "ndjson" ? "takes no filter; it is JSON already" : "";
  }

  // Looks at the literal parts. The host must be written out: a record must not choose where it is
  // sent.
  static std::string WrongAddress(const std::vector<TemplatePart>& parts) {
    const bool begins_literal = parts.front().kind == TemplatePart::Kind::kLiteral;
    const std::string lower = begins_literal ? Lower(parts.front().text) : "";
    const std::string_view scheme = lower.starts_with(kHttps) ? kHttps : kHttp;
    if (!lower.starts_with(scheme)) {
      return "must begin with http:// or https:// and a host, as in "
             "http://orders/v1/orders/{{key}}";
    }
    const std::string_view rest = std::string_view(parts.front().text).substr(scheme.size());
    const std::size_t end = rest.find_first_of("/?#");
    if (end == std::string_view::npos && parts.size() > 1) {
      return "the host must be written out; placeholders can stand behind the next / only";
    }
    if (const std::string wrong = WrongAuthority(rest.substr(0, end), scheme); !wrong.empty())
      return wrong;
    for (const TemplatePart& part : parts) {
      if (part.kind != TemplatePart::Kind::kLiteral) continue;
      if (const std::string wrong = WrongCharacter(part.text); !wrong.empty()) return wrong;
    }
    return "";
  }

  static std::string WrongAuthority(std::string_view authority, std::string_view scheme) {
    if (authority.find('@') != std::string_view::npos) {
      return "a user or password cannot stand in the url; send an Authorization header";
    }
    std::string_view host = authority;
    std::string_view port;
    const std::size_t after_literal = authority.starts_with('[') ? authority.find(']') : 0;
    if (after_literal == std::string_view::npos)
      return "the address in brackets is not closed with ]";
    if (const std::size_t colon = authority.find(':', after_literal);
        colon != std::string_view::npos) {
      host = authority.substr(0, colon);
      port = authority.substr(colon + 1);
      const bool digits =
          !port.empty() && port.size() <= 5 &&
          std::ranges::all_of(port, [](unsigned char c) { return std::isdigit(c) != 0; });
      if (!digits || std::stoi(std::string(port)) < 1 || std::stoi(std::string(port)) > 65535) {
        return "the port must be a number from 1 to 65535, is " + Excerpt(port);
      }
    }
    if (host.empty()) return "the host is missing behind " + std::string(scheme);
    const bool bracketed = host.starts_with('[') && host.ends_with(']') && host.size() > 2;
    const std::string_view name = bracketed ? host.substr(1, host.size() - 2) : host;
    const bool valid =
        name.size() <= 253 && std::ranges::all_of(name, [bracketed](unsigned char c) {
          return bracketed ? std::isxdigit(c) != 0 || c == ':' || c == '.'
                           : std::isalnum(c) != 0 || c == '-' || c == '.' || c == '_';
        });
    return valid ? "" : Excerpt(host) + " is not a host name or address";
  }

  static std::string WrongCharacter(std::string_view literal) {
    static constexpr std::string_view kForbidden = "\"<>\\^`{|}";
    for (std::size_t i = 0; i < literal.size(); ++i) {
      const char c = literal[i];
      const auto byte = static_cast<unsigned char>(c);
      if (c == '#')
        return "a fragment (#...) is never sent; leave it out, or write %23 for the character";
      const bool escape = c == '%' && i + 2 < literal.size() &&
                          std::isxdigit(static_cast<unsigned char>(literal[i + 1])) != 0 &&
                          std::isxdigit(static_cast<unsigned char>(literal[i + 2])) != 0;
      if (c == '%' && !escape)
        return "\"%\" must be followed by two hex digits; for the character itself write %25";
      if (byte <= 0x20U || byte >= 0x7FU || kForbidden.find(c) != std::string_view::npos) {
        const std::size_t bytes = FirstCharacter(literal.substr(i)).bytes;
        return "the character " + Excerpt(literal.substr(i, bytes)) +
               " cannot stand in a url; percent-encode it";
      }
    }
    return "";
  }

  const Node& request_;
  const std::string path_;
  const Integer batch_size_;
  const std::string format_;  // of the file; empty: the source is none
  Problems& problems_;
};

bool IsHttps(const Node& root, const std::string& request) {
  const Node* url = root.At(request + ".url", Kind::kString);
  return url != nullptr && Lower(url->text).starts_with(kHttps);
}

constexpr std::string_view kFile = "spec.source.file";

// Its values are read elsewhere: here are only names.
void CheckSecretHeaders(const Node& root, std::string_view part, Problems& problems) {
  const std::string base(part);
  const Node* secrets = root.At(base + ".secretHeaders", Kind::kList);
  if (secrets == nullptr) return;
  std::map<std::string, std::string> seen;
  for (const std::string& request : {base, base + ".dryRun"}) {
    const Node* headers = root.At(request + ".headers", Kind::kMap);
    if (headers == nullptr) continue;
    for (const Member& header : headers->members)
      seen.try_emplace(Lower(header.key), Join(request + ".headers", header.key));
  }
  for (std::size_t i = 0; i < secrets->items.size(); ++i) {
    const Node& secret = secrets->items[i];
    const std::string path = JoinIndex(base + ".secretHeaders", i);
    const Node* name = secret.At("name", Kind::kString);
    if (name != nullptr && !name->text.empty()) {
      if (const std::string wrong = WrongHeaderName(name->text); !wrong.empty())
        problems.Add(*name, Join(path, "name"), wrong);
      if (Lower(name->text) == "content-type")
        problems.Add(*name, Join(path, "name"), "is no secret; write it in headers");
      if (base == kFile && (Lower(name->text) == "range" || Lower(name->text) == "accept-encoding"))
        problems.Add(*name, Join(path, "name"), "is set by whoever reads the file");
      const auto [first, fresh] = seen.try_emplace(Lower(name->text), path);
      if (!fresh) problems.Add(*name, Join(path, "name"), "is the same header as " + first->second);
    }
    const Node* prefix = secret.At("prefix", Kind::kString);
    if (prefix == nullptr) continue;
    if (const std::string wrong = WrongHeaderValue(prefix->text); !wrong.empty())
      problems.Add(*prefix, Join(path, "prefix"), wrong);
  }
}

}  // namespace

void CheckRequests(const Node& root, Problems& problems) {
  const Node* batch = root.At("spec.workers.batchSize", Kind::kInteger);
  const Integer batch_size = batch == nullptr ? 1 : batch->integer;
  const Node* format = root.At("spec.source.file.format", Kind::kString);
  const std::string base = "spec.target.http";
  for (const std::string& path : {base, base + ".dryRun"}) {
    const Node* request = root.At(path, Kind::kMap);
    if (request == nullptr) continue;
    RequestChecker checker(*request, path, batch_size, format == nullptr ? "" : format->text,
                           problems);
    checker.CheckUrl();
    checker.CheckHeaders();
    // A request of the dry run may well ask something that does not depend on the records.
    checker.CheckBody(/*must_carry_batch=*/path == base);
  }
  CheckSecretHeaders(root, base, problems);
  CheckSecretHeaders(root, kFile, problems);
  const Node* tls = root.At(base + ".tls", Kind::kMap);
  if (tls != nullptr && !IsHttps(root, base) && !IsHttps(root, base + ".dryRun"))
    problems.Add(*tls, base + ".tls", "needs a url that begins with https://");
}

}  // namespace backfill::api
