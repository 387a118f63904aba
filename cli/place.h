#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace backfill::cli {

inline constexpr char kDefaultStateDir[] = ".backfill";
inline constexpr char kDefaultNamespace[] = "default";

// By which name the program was called, which decides where it looks if nothing else does.
enum class CalledAs {
  kBackfill,       // backfill: the state directory
  kKubectlPlugin,  // kubectl-backfill, as kubectl calls it: the cluster
};
// As the user types it: "backfill", "kubectl backfill".
std::string_view ProgramText(CalledAs called_as);

// Which cluster; what is empty is as kubectl would have it.
struct ClusterChoice {
  std::string context;
  std::string kubeconfig;
  bool operator==(const ClusterChoice&) const = default;
};

// Where a command looks for backfills: a state directory or a cluster, and a namespace of it.
struct Place {
  std::string state_dir = kDefaultStateDir;
  std::optional<std::string> ns;  // absent: not said
  CalledAs called_as = CalledAs::kBackfill;
  std::optional<ClusterChoice> cluster = std::nullopt;  // absent: the state directory
  bool all_namespaces = false;
  std::string usual_ns = kDefaultNamespace;  // where none is said; of a cluster its context's

  [[nodiscard]] std::string Namespace() const { return ns.value_or(usual_ns); }
  // The same place, with the namespace that a file or an object turned out to have.
  [[nodiscard]] Place In(std::string_view other_ns) const {
    Place p = *this;
    p.ns = std::string(other_ns);
    return p;
  }
};

// What was said on the command line of where to look.
struct PlaceFlags {
  std::optional<std::string> state_dir = {}, ns = {}, context = {}, kubeconfig = {};
  bool cluster = false;
  bool all_namespaces = false;
};
// The place that is meant, or why it cannot be told, as a sentence.
struct MeantPlace {
  Place place;
  std::string problem;  // empty: none
};
MeantPlace FindPlace(const PlaceFlags& flags, CalledAs called_as);

// A command that the reader can copy: "backfill resume reprice -n shop --state-dir '/my state'".
// Options at their defaults are left out, values are quoted for a shell where they need it.
std::string CommandFor(std::string_view verb, std::string_view name, const Place& place);
// Likewise "backfill run -f reprice.yaml ...".
std::string CommandForFile(std::string_view verb, std::string_view file, const Place& place);
// What makes a file count: "backfill run -f FILE" here, "kubectl apply -f FILE" on a cluster.
std::string CommandToRun(std::string_view file, const Place& place);

}  // namespace backfill::cli
