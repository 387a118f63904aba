#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "operator/kube/client/child_output.h"
#include "operator/kube/client/credentials.h"

namespace backfill::kube {

// A program that says who we are, as client-go runs it: `exec` of a kubeconfig.
struct ExecPlugin {
  ChildCommand command;
  std::string api_version;   // client.authentication.k8s.io/v1 or v1beta1
  std::string install_hint;  // for who does not have it
};

// What it prints: an ExecCredential of that version with a token, a client certificate or both.
// kUnauthenticated, without a word of what was printed. Pure.
Result<Credentials> ParseExecCredential(std::string_view output, std::string_view api_version);

// RFC 3339 in all its forms, such as 2026-11-23T04:28:59.123+01:00.
std::optional<WallTime> ParseRfc3339(std::string_view text);

// Runs it at each Load, for at most 60 s; the authority is that of `files`. How long its answer may
// be used it says itself (Credentials::expires).
std::unique_ptr<CredentialSource> MakeExecCredentials(ExecPlugin plugin, CredentialFiles files);

}  // namespace backfill::kube
