#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "operator/kube/client/credentials.h"
#include "operator/kube/client/rest_transport.h"

namespace backfill::kube {

// How the API server of the tests is reached, which is on loopback (tests/cluster).
struct ServerAccess {
  std::uint16_t port = 0;
  CredentialFiles credentials;
};
Result<ServerAccess> ReadAccess(const std::filesystem::path& kubeconfig);

// `through`: the port of a proxy on loopback, whose way is not seen by TLS.
Result<std::unique_ptr<RestTransport>> Connect(const ServerAccess& access, std::string user_agent,
                                               const Clock& clock,
                                               std::optional<std::uint16_t> through = {});

}  // namespace backfill::kube
