#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

#include "worker/target/http_request.h"
#include "worker/target/outcome_map.h"
#include "worker/target/target.h"

namespace boost::asio {
class io_context;
}

namespace backfill::worker {

using namespace std::chrono_literals;

class Resolver;

struct HttpSenderOptions {
  std::uint32_t batch_size = 1;  // sizes the longest reply
  Duration max_idle = 4s;        // Node closes after 5
  Duration max_age = 60s;        // of a connection, plus or minus a quarter
  Duration dns_fresh = 5s;       // a name is looked up again after
  Duration dns_patience = 1s;    // then the old addresses serve while the lookup goes on
  std::uint64_t seed = 1;
  Resolver* resolver = nullptr;  // outlives the sender; absent: the system's
};

// Sends requests over a pool of keep-alive connections that grows to as many as are sent at the
// same time. The deadline of a request counts from Send() and covers name lookup and connecting. A
// name's addresses are used in turn; one that does not answer is tried last for a while. Never
// sends a request twice by itself.
//
// One thread: calls and handlers run on the io_context's. No handler may run after the sender is
// gone.
class HttpSender {
 public:
  // kInvalid: a file that the request names cannot be used.
  static Result<HttpSender> Create(boost::asio::io_context& io, const WriteRequest& request,
                                   const OutcomeMap& outcomes, const HttpSenderOptions& options,
                                   Target::Done done);
  static Result<HttpSender> Create(boost::asio::io_context& io, const SafeRequest& request,
                                   const OutcomeMap& outcomes, const HttpSenderOptions& options,
                                   Target::Done done);
  HttpSender(HttpSender&&) noexcept;
  HttpSender& operator=(HttpSender&&) noexcept;
  ~HttpSender();

  void Send(const Dispatch& dispatch, Time now);
  void Tick(Time now);
  void Withdraw();

 private:
  class Impl;
  explicit HttpSender(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace backfill::worker
