#pragma once

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace backfill::cluster {

// What a kubelet does with the pods of one namespace, where there is no node: the container of a
// pod runs as a process of this machine, with the environment that the pod says, a token that the
// API server has issued for this very pod, and the ConfigMaps that it mounts. Ends and deletions
// are reported as a kubelet does, so that the real Job controller goes on from there.
//
// What it does not do: limits, probes, mounts at their paths. A file of a projected volume is put
// elsewhere, and values of the environment that begin with the mount's path are changed to match.
//
// One thread of its own looks at the pods ten times a second. Thread-safe.
class ProcessKubelet {
 public:
  struct Options {
    std::filesystem::path kubeconfig;
    std::string ns;
    std::filesystem::path dir;                    // of the processes' files; made if need be
    std::vector<std::string> command;             // in place of the image
    std::map<std::string, std::string> env = {};  // wins over the pod's
  };
  // kUnavailable: the API server is not there.
  static Result<std::unique_ptr<ProcessKubelet>> Start(const Options& options);
  ~ProcessKubelet();  // kills what runs
  ProcessKubelet(const ProcessKubelet&) = delete;
  ProcessKubelet& operator=(const ProcessKubelet&) = delete;

  struct Container {
    std::string pod;
    std::string uid;
    pid_t pid = 0;
  };
  [[nodiscard]] std::vector<Container> Running() const;  // by name
  // How many have been started so far.
  [[nodiscard]] int started() const;
  // What the container of that pod has written to stderr so far.
  [[nodiscard]] std::string LogOf(const std::string& pod) const;
  // From now on nothing is noticed or reported, as on a node that is cut off; processes go on.
  void CutOff();
  void ComeBack();

 private:
  struct Impl;
  explicit ProcessKubelet(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace backfill::cluster
