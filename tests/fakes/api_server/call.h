#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "operator/kube/client/http_transport.h"
#include "tests/fakes/api_server/failure.h"
#include "tests/fakes/api_server/representation.h"

namespace backfill::fakes {

// A request, taken apart as the API server does it.
struct ApiCall {
  std::string verb;                    // get list watch create update patch delete deletecollection
  std::string path;                    // without the query
  std::string group, version, plural;  // empty plural: the path names no resource
  std::string ns, name, subresource;
  std::map<std::string, std::string> query;
  Representation as = Representation::kWhole;

  [[nodiscard]] std::string Option(const std::string& key) const;
  [[nodiscard]] bool Flag(const std::string& key) const;
  // Absent: not given. Otherwise a number (of negative ones 0), or the request is refused.
  [[nodiscard]] Answer<std::optional<std::uint64_t>> Number(const std::string& key) const;
  // The resourceVersion.
  [[nodiscard]] Answer<std::optional<std::uint64_t>> Version() const;
};

// Any text is taken apart; what makes no sense has no plural.
ApiCall ParseCall(const kube::HttpRequest& request);

}  // namespace backfill::fakes
