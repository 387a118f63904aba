#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace backfill::kube {

// Where a server stands. Pure.
struct ServerUrl {
  bool tls = true;
  std::string host;
  int port = 443;
  std::string prefix;  // of every path; "" or "/k8s/clusters/c-1", without a slash at its end

  [[nodiscard]] std::string Origin() const;  // https://host:port
};

// kInvalid, with what to do. Refuses what would be ignored (user, query, fragment), and literal
// IPv6 addresses, which cpprestsdk never reaches (R36: a name that has such an address works).
Result<ServerUrl> ParseServerUrl(std::string_view text);

// Whether the host is an IPv4 address, which needs no resolver.
bool IsIpv4(std::string_view host);
// Whether what is sent to it stays in this machine.
bool IsLoopback(std::string_view host);

}  // namespace backfill::kube
