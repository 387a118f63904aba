#include "operator/api/risks.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <set>
#include <string>
#include <utility>

#include "base/template.h"
#include "operator/api/codec.h"
#include "operator/api/excerpt.h"
#include "operator/api/lower.h"
#include "operator/api/throttle_rules.h"
#include "operator/api/work_rules.h"

namespace backfill::api {
namespace {

using Kind = Node::Kind;
using namespace std::chrono_literals;

constexpr std::size_t kMaxApplyBytes = std::size_t{256} * 1024;

bool NamesRecord(const std::string& text) {
  const auto parts = ParseTemplate(text);
  if (!parts.ok()) return true;  // reported elsewhere
  return std::ranges::any_of(*parts, [](const TemplatePart& part) {
    return part.kind == TemplatePart::Kind::kPlaceholder && !part.text.starts_with("backfill.");
  });
}

// Then the body must carry the records, which request_rules sees to.
bool Batches(const Node& root) {
  const Node* size = root.At("spec.workers.batchSize", Kind::kInteger);
  return size != nullptr && size->integer > 1;
}

void CheckRealRun(const Node& root, Problems& risks) {
  const Node* dry_run = root.At("spec.dryRun", Kind::kBool);
  if (dry_run == nullptr || dry_run->boolean) return;
  const std::string method = root.TextAt("spec.target.http.method");
  std::string message = "dryRun is false: running this file changes the target";
  if (method == "POST" || method == "PATCH") {
    message += ". A request may be sent again after a failure, so " + method +
               " must be safe to repeat: let the service honour the Idempotency-Key header";
  }
  risks.Add(*dry_run, "spec.dryRun", message);
}

// Over the network, and not encrypted.
bool IsOpenWay(const std::string& url) {
  static constexpr std::string_view kOpen = "http://";
  if (!url.starts_with(kOpen)) return false;
  const std::string rest = url.substr(kOpen.size());
  const std::string host = rest.substr(0, rest.find_first_of(":/?", rest.starts_with('[') ? 5 : 0));
  return host != "localhost" && host != "[::1]" && !host.starts_with("127.");
}

void CheckWay(const Node& node, const std::string& path, const char* url, Problems& risks) {
  const Node* secrets = node.At("secretHeaders", Kind::kList);
  if (secrets != nullptr && !secrets->items.empty() && IsOpenWay(node.TextAt(url))) {
    risks.Add(*secrets, path + ".secretHeaders",
              "over http:// they can be read by everybody on the way; https:// protects them");
  }
}

void CheckSource(const Node& root, Problems& risks) {
  const Node* source = root.At("spec.source", Kind::kMap);
  if (source == nullptr) return;
  if (CountRecords(root) == Integer{0}) {
    risks.Add(*source, "spec.source", "there are no records, so nothing will be done");
  }
  if (const Node* path = source->At("file.path", Kind::kString);
      path != nullptr && path->text.find("://") != std::string::npos &&
      path->text.find_first_of("@?") != std::string::npos) {
    risks.Add(*path, "spec.source.file.path",
              "a secret in the URL can be read by everybody who can read the Backfill");
  }
  if (const Node* file = source->At("file", Kind::kMap))
    CheckWay(*file, "spec.source.file", "path", risks);
  const Node* keys = source->At("keys", Kind::kList);
  if (keys == nullptr) return;
  std::set<std::string_view> seen;
  for (std::size_t i = 0; i < keys->items.size(); ++i) {
    const Node& key = keys->items[i];
    if (key.Is(Kind::kString) && !seen.insert(key.text).second) {
      risks.Add(key, JoinIndex("spec.source.keys", i),
                "the key " + Excerpt(key.text) + " stands twice, and is sent twice");
    }
  }
}

// As the worker sees it (worker/target/renderer): by its type, or by how it begins.
bool IsJson(const Node& http, const std::string& body) {
  if (const Node* headers = http.At("headers", Kind::kMap)) {
    for (const Member& header : headers->members) {
      if (Lower(header.key) == "content-type")
        return Lower(header.value.text).find("json") != std::string::npos;
    }
  }
  return !body.empty();
}

bool IsKnown(const TemplatePart& part) {
  static constexpr std::array kNames = {"key",    "record",        "records",
                                        "ndjson", "backfill.name", "backfill.uid"};
  return (part.filter.empty() || part.filter == "json") &&
         (std::ranges::count(kNames, part.text) > 0 ||
          (part.text.starts_with("fields.") && part.text != "fields."));
}

// A value brings no quotes of its own, JSON does.
void CheckQuotes(const Node& http, bool numeric_keys, Problems& risks) {
  const Node* body = http.At("body", Kind::kString);
  if (body == nullptr || !IsJson(http, body->text)) return;
  const auto parts = ParseTemplate(body->text);
  if (!parts.ok()) return;  // reported elsewhere
  bool quoted = false;
  for (const TemplatePart& part : *parts) {
    if (part.kind == TemplatePart::Kind::kLiteral) {
      for (std::size_t i = 0; i < part.text.size(); ++i) {
        if (quoted && part.text[i] == '\\') {
          ++i;
        } else if (part.text[i] == '"') {
          quoted = !quoted;
        }
      }
      continue;
    }
    if (!IsKnown(part)) continue;  // reported elsewhere
    const bool json = !part.filter.empty() || part.text == "record" || part.text == "records" ||
                      part.text == "ndjson";
    if (json != quoted || (!json && !quoted && part.text == "key" && numeric_keys)) continue;
    const std::string at =
        "line " + std::to_string(part.line) + ", column " + std::to_string(part.column) + ": ";
    std::string problem = at + "{{" + part.text + (part.filter.empty() ? "}} " : "|json}} ");
    if (json) {
      problem += "gives JSON, which brings its own quotes; leave out those around it";
    } else {
      problem += "stands outside of quotes, so that a text is no JSON there; write {{";
      problem += part.text + "|json}}";
    }
    risks.Add(*body, "spec.target.http.body", std::move(problem));
  }
}

void CheckRequest(const Node& root, Problems& risks) {
  const Node* http = root.At("spec.target.http", Kind::kMap);
  if (http == nullptr) return;
  const std::string method = http->TextAt("method");
  if (const Node* node = http->Find("method"); method == "GET" || method == "HEAD") {
    risks.Add(*node, "spec.target.http.method",
              method +
                  " should change nothing, so caches and proxies may answer or repeat it; POST and "
                  "PUT are for changes");
  }
  // The keys of failures may be those of a range.
  CheckQuotes(
      *http,
      root.At("spec.source.range") != nullptr || root.At("spec.source.failuresOf") != nullptr,
      risks);
  bool differs = NamesRecord(http->TextAt("url")) || NamesRecord(http->TextAt("body"));
  if (const Node* headers = http->At("headers", Kind::kMap)) {
    for (const Member& header : headers->members) {
      if (NamesRecord(header.value.text)) differs = true;
      const std::string lower = Lower(header.key);
      if (lower == "authorization" || lower == "cookie" || lower == "proxy-authorization") {
        risks.Add(header.line, header.column, Join("spec.target.http.headers", header.key),
                  "a secret here can be read by everybody who can read the Backfill; secretHeaders "
                  "read it "
                  "from a file");
      }
    }
  }
  CheckWay(*http, "spec.target.http", "url", risks);
  if (!differs && !http->TextAt("url").empty() && !Batches(root)) {
    risks.Add(
        *http, "spec.target.http",
        "no placeholder names the record, so all requests are alike but for the Idempotency-Key "
        "header; write {{key}} where the record belongs");
  }
  if (const Node* timeout = http->At("timeout", Kind::kString)) {
    const auto duration = ParseDuration(timeout->text);
    if (duration && *duration > 60s) {
      risks.Add(
          *timeout, "spec.target.http.timeout",
          "with more than 60s a shard whose worker is lost waits longer before another takes it");
    }
  }
}

void CheckFailureBudget(const Node& root, Problems& risks) {
  const Node* percent = root.At("spec.failurePolicy.maxFailedPercent", Kind::kString);
  if (percent == nullptr) return;
  double value = 0;
  std::from_chars(percent->text.data(), percent->text.data() + percent->text.size(), value);
  if (value >= 100) {
    risks.Add(*percent, "spec.failurePolicy.maxFailedPercent",
              "with 100 the share of failed records never stops the backfill");
  }
}

}  // namespace

void FindRisks(const Node& root, std::size_t text_bytes, Problems& risks) {
  if (text_bytes > kMaxApplyBytes) {
    risks.Add(root, "",
              "the file is larger than 256 KiB; kubectl can apply it with --server-side only");
  }
  CheckRealRun(root, risks);
  CheckSource(root, risks);
  CheckRequest(root, risks);
  CheckFailureBudget(root, risks);
  FindThrottleRisks(root, risks);
  if (const Node* pods = root.At("spec.workers.template", Kind::kMap)) {
    risks.Add(*pods, "spec.workers.template",
              "is for pods on a cluster; `backfill run` starts processes, which do not have it");
  }
}

}  // namespace backfill::api
