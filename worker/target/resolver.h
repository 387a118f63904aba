#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "worker/target/http_connection.h"

namespace backfill::worker {

// Looks names up. One thread makes all calls, that of the io_context.
class Resolver {
 public:
  static constexpr std::size_t kMaxAddresses = 64;

  // Not empty if it is a value. kUnavailable: no such name, or nobody who knows.
  using Done = std::function<void(Result<std::vector<Tcp::endpoint>>)>;

  virtual ~Resolver() = default;
  // `done` is called once, later, on the io_context. A lookup cannot be cancelled and may take as
  // long as it likes.
  virtual void Resolve(const std::string& host, const std::string& port, Done done) = 0;
};

// The system's resolver, on a thread that Asio keeps for it.
std::unique_ptr<Resolver> SystemResolver(boost::asio::io_context& io);

}  // namespace backfill::worker
