#pragma once

#include <optional>
#include <set>

#include "worker/target/http_sender.h"
#include "worker/target/outcome_map.h"
#include "worker/target/request_template.h"
#include "worker/target/target.h"

namespace backfill::worker {

// Renders what would be sent, keeps a few of them as samples, and sends nothing, or only the probe
// that the user declared. It holds no request that could change anything: a WriteRequest cannot be
// made here.
class DryRunTarget final : public Target {
 public:
  struct Probe {
    RequestTemplate request;
    DeclaredEffects effects = DeclaredEffects::kUnknown;
  };
  static constexpr std::size_t kFirstSamples = 10;
  static constexpr std::size_t kSpreadSamples = 10;  // each of another shard
  static constexpr std::size_t kMaxSampleBytes = 4096;

  // kInvalid: a request cannot be compiled, a file that it names cannot be used, or the probe is
  // not safe.
  static Result<std::unique_ptr<DryRunTarget>> Create(boost::asio::io_context& io,
                                                      const RequestTemplate& sample,
                                                      const std::optional<Probe>& probe,
                                                      const TemplateNames& names,
                                                      const OutcomeMap& outcomes,
                                                      const HttpSenderOptions& options, Done done);

  void Send(const Dispatch& dispatch, Time now) override;
  void Tick(Time now) override;
  void Withdraw() override;
  std::vector<TargetSample> TakeSamples() override;

 private:
  DryRunTarget(Renderer sample, Done done) : sample_(std::move(sample)), done_(std::move(done)) {}
  void Sample(const Dispatch& dispatch);

  const Renderer sample_;
  const Done done_;
  std::optional<HttpSender> prober_;  // absent: nothing is sent
  std::string rendered_;              // the same memory again
  std::size_t first_ = 0;
  std::set<ShardId> spread_;
  std::vector<TargetSample> samples_;
};

}  // namespace backfill::worker
