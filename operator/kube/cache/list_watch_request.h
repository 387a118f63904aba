#pragma once

#include <string>
#include <string_view>

#include "operator/kube/cache/watcher.h"
#include "operator/kube/client/api_object.h"
#include "operator/kube/client/http_transport.h"

namespace backfill::kube {

// Which objects of a kind: all that match. Empty parts match everything.
struct Selection {
  std::string ns = {};
  std::string labels = {};  // as kubectl -l: app=x,tier in (a,b)
  std::string fields = {};  // metadata.name=x
  // Ask for PartialObjectMetadata: the server leaves everything but metadata out (R11).
  bool metadata_only = false;
};

// What a page and a watch are on the wire. Pure.
HttpRequest RequestOf(const GetPage& page, const ResourceType& type, const Selection& selection);
HttpRequest RequestOf(const StartWatch& watch, const ResourceType& type,
                      const Selection& selection);

}  // namespace backfill::kube
