#include "operator/kube/cache/list_watch_request.h"

#include <utility>

namespace backfill::kube {
namespace {

constexpr std::size_t kMaxListBytes = std::size_t{64} << 20;

// Adds to a query: ?a=b, then &c=d.
class Query {
 public:
  explicit Query(std::string path) : target_(std::move(path)) {}

  void Add(std::string_view name, std::string_view value) {
    target_ += std::exchange(separator_, '&');
    target_ += name;
    target_ += '=';
    constexpr std::string_view kHex = "0123456789ABCDEF";
    for (const char c : value) {
      const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == '~';
      if (plain) {
        target_ += c;
        continue;
      }
      const auto byte = static_cast<unsigned char>(c);
      target_ += '%';
      target_ += kHex[byte >> 4U];
      target_ += kHex[byte & 15U];
    }
  }
  void AddUnlessEmpty(std::string_view name, std::string_view value) {
    if (!value.empty()) Add(name, value);
  }
  std::string Take() && { return std::move(target_); }

 private:
  std::string target_;
  char separator_ = '?';
};

Query QueryFor(const ResourceType& type, const Selection& selection) {
  Query query(PathOf(type, selection.ns));
  query.AddUnlessEmpty("labelSelector", selection.labels);
  query.AddUnlessEmpty("fieldSelector", selection.fields);
  return query;
}

std::string Accept(const Selection& selection, std::string_view kind) {
  if (!selection.metadata_only) return {};
  return "application/json;as=" + std::string(kind) + ";g=meta.k8s.io;v=v1,application/json";
}

}  // namespace

HttpRequest RequestOf(const GetPage& page, const ResourceType& type, const Selection& selection) {
  Query query = QueryFor(type, selection);
  if (page.limit > 0) query.Add("limit", std::to_string(page.limit));
  query.AddUnlessEmpty("continue", page.token);
  if (page.token.empty()) {  // a token has a version of its own
    query.AddUnlessEmpty("resourceVersion", page.version);
    // Of a version and a limit, without this, the server makes "exactly that version", which it
    // soon does not have any more.
    if (!page.version.empty() && page.version != "0")
      query.Add("resourceVersionMatch", "NotOlderThan");
  }
  HttpRequest request;
  request.target = std::move(query).Take();
  request.accept = Accept(selection, "PartialObjectMetadataList");
  request.max_response_bytes = kMaxListBytes;
  return request;
}

HttpRequest RequestOf(const StartWatch& watch, const ResourceType& type,
                      const Selection& selection) {
  Query query = QueryFor(type, selection);
  query.Add("watch", "true");
  query.Add("allowWatchBookmarks", "true");
  query.Add("resourceVersion", watch.version);
  query.Add("timeoutSeconds", std::to_string(watch.timeout_seconds));
  HttpRequest request;
  request.target = std::move(query).Take();
  request.accept = Accept(selection, "PartialObjectMetadata");
  return request;
}

}  // namespace backfill::kube
