#include "cli/place.h"

#include <algorithm>

#include "cli/terminal_text.h"

namespace backfill::cli {
namespace {

std::string Quoted(std::string_view word) {
  const bool plain = !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_-./:@%+=,").find(c) != std::string_view::npos;
  });
  if (plain) return std::string(word);
  std::string out = "'";
  for (const char c : word) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return Printable(out + "'");
}

std::string NamespaceOption(const Place& place) {
  return place.Namespace() == place.usual_ns ? "" : " -n " + Quoted(place.Namespace());
}

// Of kubectl and of this program alike.
std::string ClusterOptions(const ClusterChoice& cluster) {
  std::string out;
  if (!cluster.context.empty()) out += " --context " + Quoted(cluster.context);
  if (!cluster.kubeconfig.empty()) out += " --kubeconfig " + Quoted(cluster.kubeconfig);
  return out;
}

std::string OptionsOf(const Place& place) {
  std::string out = NamespaceOption(place);
  const bool plugin = place.called_as == CalledAs::kKubectlPlugin;
  if (place.cluster) {
    const std::string which = ClusterOptions(*place.cluster);
    return out + (which.empty() && !plugin ? " --cluster" : which);
  }
  if (plugin || place.state_dir != kDefaultStateDir)
    out += " --state-dir " + Quoted(place.state_dir);
  return out;
}

std::string ProgramOf(const Place& place) { return std::string(ProgramText(place.called_as)); }

}  // namespace

std::string_view ProgramText(CalledAs called_as) {
  switch (called_as) {
    case CalledAs::kBackfill:
      return "backfill";
    case CalledAs::kKubectlPlugin:
      return "kubectl backfill";
  }
  return "";
}

MeantPlace FindPlace(const PlaceFlags& flags, CalledAs called_as) {
  const bool says_cluster = flags.cluster || flags.context || flags.kubeconfig;
  if (says_cluster && flags.state_dir) {
    return {.place = {},
            .problem =
                "--state-dir is a directory of this machine: not together with --cluster, "
                "--context or --kubeconfig"};
  }
  if (flags.all_namespaces && flags.ns) return {.place = {}, .problem = "either -n or -A"};
  if (flags.context && flags.context->empty())
    return {.place = {}, .problem = "--context names no context"};
  if (flags.kubeconfig && flags.kubeconfig->empty())
    return {.place = {}, .problem = "--kubeconfig names no file"};
  Place place;
  place.state_dir = flags.state_dir.value_or(kDefaultStateDir);
  place.ns = flags.ns;
  place.all_namespaces = flags.all_namespaces;
  place.called_as = called_as;
  if (says_cluster || (called_as == CalledAs::kKubectlPlugin && !flags.state_dir)) {
    place.cluster = ClusterChoice{.context = flags.context.value_or(""),
                                  .kubeconfig = flags.kubeconfig.value_or("")};
  }
  return {.place = std::move(place), .problem = {}};
}

std::string CommandFor(std::string_view verb, std::string_view name, const Place& place) {
  return ProgramOf(place) + " " + std::string(verb) + " " + Quoted(name) + OptionsOf(place);
}

std::string CommandForFile(std::string_view verb, std::string_view file, const Place& place) {
  // With the namespace also where the file names it: they agree, and not every file does.
  return ProgramOf(place) + " " + std::string(verb) + " -f " + Quoted(file) + OptionsOf(place);
}

std::string CommandToRun(std::string_view file, const Place& place) {
  if (!place.cluster) return CommandForFile("run", file, place);
  return "kubectl apply -f " + Quoted(file) + NamespaceOption(place) +
         ClusterOptions(*place.cluster);
}

}  // namespace backfill::cli
