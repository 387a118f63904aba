#pragma once

#include <map>
#include <memory>
#include <random>
#include <string>

#include "base/clock.h"
#include "operator/kube/client/http_transport.h"

namespace backfill::kube {

// The ConfigMaps of a namespace of its own, which goes with the object: what others do to them
// while something is tested. Each verb fails the test if the server does not do it. Used by one
// thread.
class ConfigMaps {
 public:
  // What ReadAccess and Connect give: past any proxy. It may be lost in between, as servers are.
  explicit ConfigMaps(std::unique_ptr<HttpTransport> direct, std::string ns);
  ~ConfigMaps();
  ConfigMaps(const ConfigMaps&) = delete;
  ConfigMaps& operator=(const ConfigMaps&) = delete;

  [[nodiscard]] const std::string& ns() const { return ns_; }

  void Create(const std::string& name);
  void Change(const std::string& name);
  void Delete(const std::string& name);
  // One of these, of one of eight names.
  void Stir();

  // Those that were made here: the versions by name, as the server has them now.
  std::map<std::string, std::string> List();

 private:
  std::string Send(HttpRequest request, int expected);
  [[nodiscard]] std::string PathTo(const std::string& name) const;

  const std::unique_ptr<HttpTransport> direct_;
  const std::string ns_;
  std::mt19937 random_{20261128};
  std::map<std::string, int> there_;  // how often each was changed
  int changes_ = 0;
};

// Of those that the verbs above make, and none that the server makes by itself.
inline constexpr const char* kMadeHere = "made-by=test";

}  // namespace backfill::kube
