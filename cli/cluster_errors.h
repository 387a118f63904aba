#pragma once

#include <string>

#include "base/result.h"

// What an API server's refusals mean to whoever sits at the command line. Pure.
namespace backfill::cli {

// Which API server, and as what it is known to the user.
struct ClusterFacts {
  std::string server;   // https://10.0.0.1:6443
  std::string context;  // of the kubeconfig; empty: there is none, as in a pod
  std::string ns;       // of the context; empty: it says none
};

// "the API server https://10.0.0.1:6443 (context dev)"
std::string ServerText(const ClusterFacts& facts);

// The same error, with what can be done about it. `role`: which of the chart's roles has the right
// that may be missing.
Error Explain(const Error& error, const ClusterFacts& facts, const std::string& role);

// The kind itself is not known there.
Error NoSuchKind(const ClusterFacts& facts);

}  // namespace backfill::cli
