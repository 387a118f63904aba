#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace backfill::cluster {

// A request as the API server has written it to its audit log. A watch has two lines: one when its
// answer begins, one at its end.
struct AuditLine {
  std::string stage;  // ResponseStarted (watches), ResponseComplete
  std::string verb;   // get list watch create update patch delete deletecollection
  std::string user_agent;
  std::string user;
  std::string resource, subresource, space, name;
  std::string uri;
  int code = 0;
};

// A name for a namespace that no other test has, nor this one when it is repeated.
std::string UniqueName(std::string_view begin);

// A real Kubernetes API for a test: etcd, kube-apiserver and kube-controller-manager on free ports
// of loopback. Jobs get pods, which stay Pending, as there is no node.
//
// Used by one thread. Everything that fails says what the program that was run wrote.
class ControlPlane {
 public:
  // Why there can be none here, for GTEST_SKIP; nothing if there can.
  static std::optional<std::string> WhyNone();

  // The one that ctest has started for all tests that say CONTROL_PLANE (backfill_test in
  // cmake/Backfill.cmake). Others use it at the same time: a test makes a namespace of its own, and
  // says a user agent of its own where it counts requests. kNotFound: why there is none.
  static Result<ControlPlane> Shared();

  // With all rights.
  [[nodiscard]] const std::filesystem::path& kubeconfig() const { return kubeconfig_; }

  // The API server's, on loopback; zero if the kubeconfig says none. Its certificate is for any
  // port of 127.0.0.1, so a TcpProxy may stand in front.
  [[nodiscard]] std::uint16_t port() const;
  // A kubeconfig for who is to connect to another port, put into `dir`.
  [[nodiscard]] std::filesystem::path KubeconfigThrough(std::uint16_t port,
                                                        const std::filesystem::path& dir) const;

  // What kubectl writes to standard output; what it says otherwise is the error (kInternal).
  [[nodiscard]] Result<std::string> Kubectl(const std::vector<std::string>& args) const;
  [[nodiscard]] Result<std::string> KubectlWith(const std::filesystem::path& kubeconfig,
                                                const std::vector<std::string>& args) const;
  // kubectl apply of YAML or JSON.
  [[nodiscard]] Result<std::string> Apply(std::string_view manifests) const;

  // The requests so far whose user agent begins so, in the order in which they were answered. A
  // line is written just after the answer: whoever has got that may have to look twice.
  [[nodiscard]] Result<std::vector<AuditLine>> Requests(std::string_view user_agent) const;

 protected:
  explicit ControlPlane(std::filesystem::path state);

  // Runs the tool for this control plane; what it writes to standard output.
  [[nodiscard]] Result<std::string> Tool(std::string_view command,
                                         const std::vector<std::string>& args,
                                         Duration at_most) const;

  std::filesystem::path state_;
  std::filesystem::path kubeconfig_;
};

enum class Component { kEtcd, kApiServer, kControllerManager };

// A control plane of a test's own, to break. It takes 4 s to start and 350 MiB; it ends with the
// object, and with the process of the test however that ends.
class OwnControlPlane : public ControlPlane {
 public:
  // Keeps its files in `dir`, which is made if need be and removed in the end. kNotFound: there can
  // be none here; kInternal: it did not start, and why.
  static Result<OwnControlPlane> Start(const std::filesystem::path& dir);
  ~OwnControlPlane();
  OwnControlPlane(OwnControlPlane&& other) noexcept;
  OwnControlPlane& operator=(OwnControlPlane&&) = delete;

  // Kills it: whoever connects is refused until StartAgain.
  [[nodiscard]] Status Stop(Component component) const;
  // Stops it without closing anything: connections stay open, and silent.
  [[nodiscard]] Status Freeze(Component component) const;
  // Undoes either. Returns when the API server, unless that is stopped, is ready again.
  [[nodiscard]] Status StartAgain(Component component) const;

  // Has etcd forget all versions but the last. The API server remembers the latest events itself,
  // so that watches mostly go on.
  [[nodiscard]] Status Compact() const;
  // Compact, and an API server that remembers nothing: whoever watches from an earlier version, or
  // goes on with an earlier list, gets 410. All connections break.
  [[nodiscard]] Status ExpireVersions() const;

  // Of the process above all others, for tests of how it ends.
  [[nodiscard]] Result<int> SupervisorPid() const;
  // Of all that run.
  [[nodiscard]] Result<std::vector<int>> Pids() const;

 private:
  explicit OwnControlPlane(std::filesystem::path state) : ControlPlane(std::move(state)) {}
};

}  // namespace backfill::cluster
