#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "operator/kube/client/credentials.h"

namespace backfill::observe {

// Who we are to a server of metrics, and whom we believe: a folder of files as a Secret or
// ConfigMap is mounted, each of which but the first may be missing:
//   servers                   https://prometheus:9090, one a line: they go nowhere else. Who writes
//   a
//                             Backfill chooses names and addresses, and must not choose who learns
//                             a token
//   token                     sent as Bearer
//   username, password        sent as Basic; not beside a token
//   ca.crt                    what alone is trusted; without it what the system trusts
//   tls.crt, tls.key          our certificate; both or none
// Read anew at each Load(). kUnauthenticated: there is no folder, `server` (as http://host:port) is
// not one of those that it is for, a file cannot be used; messages name the file and never say what
// is in it.
std::unique_ptr<kube::CredentialSource> MakeMountedCredentials(std::string folder,
                                                               const std::string& server);

// Nothing of all that: no credentials, and what the system trusts.
std::unique_ptr<kube::CredentialSource> MakeNoCredentials();

}  // namespace backfill::observe
