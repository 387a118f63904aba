#pragma once

#include <utility>

#include "worker/target/http_sender.h"
#include "worker/target/outcome_map.h"
#include "worker/target/request_template.h"
#include "worker/target/target.h"

namespace backfill::worker {

// The real thing: every record is sent.
class RunTarget final : public Target {
 public:
  // kInvalid: the request cannot be compiled, or a file that it names not be used.
  static Result<std::unique_ptr<RunTarget>> Create(boost::asio::io_context& io,
                                                   const RequestTemplate& request,
                                                   const TemplateNames& names,
                                                   const OutcomeMap& outcomes,
                                                   const HttpSenderOptions& options, Done done);

  void Send(const Dispatch& dispatch, Time now) override { sender_.Send(dispatch, now); }
  void Tick(Time now) override { sender_.Tick(now); }
  void Withdraw() override { sender_.Withdraw(); }

 private:
  explicit RunTarget(HttpSender sender) : sender_(std::move(sender)) {}

  HttpSender sender_;
};

}  // namespace backfill::worker
