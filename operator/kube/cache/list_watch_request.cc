#include "operator/kube/cache/list_watch_request.h"

#include "operator/kube/client/query.h"

namespace backfill::kube {
namespace {

constexpr std::size_t kMaxListBytes = std::size_t{64} << 20;

Query QueryFor(const Selection& selection) {
  Query query;
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
  Query query = QueryFor(selection);
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
  request.target = query.After(PathOf(type, selection.ns));
  request.accept = Accept(selection, "PartialObjectMetadataList");
  request.max_response_bytes = kMaxListBytes;
  return request;
}

HttpRequest RequestOf(const StartWatch& watch, const ResourceType& type,
                      const Selection& selection) {
  Query query = QueryFor(selection);
  query.Add("watch", "true");
  query.Add("allowWatchBookmarks", "true");
  query.Add("resourceVersion", watch.version);
  query.Add("timeoutSeconds", std::to_string(watch.timeout_seconds));
  HttpRequest request;
  request.target = query.After(PathOf(type, selection.ns));
  request.accept = Accept(selection, "PartialObjectMetadata");
  return request;
}

}  // namespace backfill::kube
