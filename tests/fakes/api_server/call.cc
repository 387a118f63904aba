#include "tests/fakes/api_server/call.h"

#include <algorithm>
#include <charconv>
#include <vector>

namespace backfill::fakes {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string Decoded(std::string_view text, bool plus_is_blank) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && HexDigit(text[i + 1]) >= 0 &&
        HexDigit(text[i + 2]) >= 0) {
      out += static_cast<char>(HexDigit(text[i + 1]) * 16 + HexDigit(text[i + 2]));
      i += 2;
    } else {
      out += plus_is_blank && text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

std::vector<std::string> Split(std::string_view path) {
  std::vector<std::string> parts;
  while (!path.empty()) {
    path.remove_prefix(1);  // the slash
    const std::size_t end = path.find('/');
    parts.push_back(Decoded(path.substr(0, end), false));
    path = end == std::string_view::npos ? "" : path.substr(end);
  }
  return parts;
}

void ParseQuery(std::string_view query, ApiCall& call) {
  while (!query.empty()) {
    const std::size_t end = query.find('&');
    const std::string_view pair = query.substr(0, end);
    const std::size_t equals = pair.find('=');
    if (!pair.empty()) {
      call.query.try_emplace(Decoded(pair.substr(0, equals), true),
                             equals == std::string_view::npos
                                 ? std::string()
                                 : Decoded(pair.substr(equals + 1), true));
    }
    query = end == std::string_view::npos ? "" : query.substr(end + 1);
  }
}

std::string VerbOf(kube::HttpMethod method, const ApiCall& call) {
  switch (method) {
    case kube::HttpMethod::kGet:
      if (!call.name.empty()) return "get";
      return call.Flag("watch") ? "watch" : "list";
    case kube::HttpMethod::kPost:
      return "create";
    case kube::HttpMethod::kPut:
      return "update";
    case kube::HttpMethod::kPatch:
      return "patch";
    case kube::HttpMethod::kDelete:
      return call.name.empty() ? "deletecollection" : "delete";
  }
  return "";
}

}  // namespace

std::string ApiCall::Option(const std::string& key) const {
  const auto it = query.find(key);
  return it == query.end() ? std::string() : it->second;
}

bool ApiCall::Flag(const std::string& key) const {
  const std::string value = Option(key);
  return value == "true" || value == "1";
}

Answer<std::optional<std::uint64_t>> ApiCall::Number(const std::string& key) const {
  const std::string text = Option(key);
  if (text.empty()) return std::optional<std::uint64_t>();
  std::int64_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (parsed.ec != std::errc{} || parsed.ptr != text.data() + text.size()) {
    return BadRequest("strconv.ParseInt: parsing \"" + text + "\": invalid syntax");
  }
  return std::optional<std::uint64_t>(
      static_cast<std::uint64_t>(std::max<std::int64_t>(number, 0)));
}

Answer<std::optional<std::uint64_t>> ApiCall::Version() const {
  auto number = Number("resourceVersion");
  if (number.ok()) return number;
  const std::string text = Option("resourceVersion");
  Failure failure{500, "",
                  "resourceVersion: Invalid value: \"" + text +
                      "\": strconv.ParseUint: parsing \"" + text + "\": invalid syntax"};
  if (verb == "watch") return failure;  // not told from a fault of its own
  return BadRequest("invalid resource version: " + failure.message);
}

ApiCall ParseCall(const kube::HttpRequest& request) {
  ApiCall call;
  call.as = RepresentationOf(request.accept);
  const std::string_view target = request.target;
  const std::size_t question = target.find('?');
  call.path = std::string(target.substr(0, question));
  if (question != std::string_view::npos) ParseQuery(target.substr(question + 1), call);

  std::vector<std::string> parts = Split(call.path);
  std::size_t at = 0;
  const auto next = [&]() -> std::string { return at < parts.size() ? parts[at++] : ""; };
  const std::string root = next();
  if (root == "apis") call.group = next();
  if (root == "api" || root == "apis") {
    call.version = next();
    call.plural = next();
    // namespaces/x is itself an object; namespaces/x/y is a collection in it.
    const bool in_namespace = call.plural == "namespaces" && parts.size() > at + 1 &&
                              parts[at + 1] != "status" && parts[at + 1] != "finalize";
    if (in_namespace) {
      call.ns = next();
      call.plural = next();
    }
    call.name = next();
    call.subresource = next();
    if (at < parts.size()) call.plural.clear();
  }
  call.verb = VerbOf(request.method, call);
  return call;
}

}  // namespace backfill::fakes
