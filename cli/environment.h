#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <iosfwd>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "cli/place.h"
#include "operator/kube/object_store.h"

namespace backfill::api {
struct Backfill;
}

namespace backfill::cli {

struct Connection;
class Operator;
struct OperatorSettings;

// Results go to `out`, everything else to `err`.
struct Streams {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  bool live = false;           // err is a terminal on which lines can be drawn again
  bool color = false;          // for err
  bool color_out = false;      // for out
  std::function<int()> width;  // columns of the terminal right now; empty: 80
};

// Someone at the keyboard, or a process manager, who wants the program to end.
class Interrupts {
 public:
  virtual ~Interrupts() = default;
  // From now on the first request calls `first`, the second one `second`, after which the process
  // ends with kExitKilled. Both are called on a thread of their own. Call once, before any other
  // thread is started.
  virtual void Listen(std::function<void()> first, std::function<void()> second) = 0;
  // No callback runs when this returns, and none comes later.
  virtual void Ignore() = 0;
};

enum class Access { kRead, kWrite };

// What commands need from outside; tests give their own. Everything outlives the command.
struct Environment {
  Streams& streams;
  const Clock& clock;
  Interrupts& interrupts;
  std::function<Result<std::unique_ptr<kube::ObjectStore>>(const std::filesystem::path& file,
                                                           Access access)>
      open_store;
  std::function<Result<std::unique_ptr<Operator>>(kube::ObjectStore& store,
                                                  const OperatorSettings& settings)>
      start_operator;
  std::string user;  // who is at the keyboard, for "paused by ..."
  // How the API server of a cluster is reached. Errors: kNotFound (no kubeconfig, or no such
  // context in it), kInvalid, kUnauthenticated; sends nothing yet.
  std::function<Result<Connection>(const ClusterChoice& choice)> connect = nullptr;
  CalledAs called_as = CalledAs::kBackfill;
};

}  // namespace backfill::cli
