#include "worker/target/dry_run_target.h"

#include <utility>

#include "worker/target/credentials.h"
#include "worker/target/escape.h"

namespace backfill::worker {

Result<std::unique_ptr<DryRunTarget>> DryRunTarget::Create(
    boost::asio::io_context& io, const RequestTemplate& sample, const std::optional<Probe>& probe,
    const TemplateNames& names, const OutcomeMap& outcomes, const HttpSenderOptions& options,
    Done done) {
  Renderer renderer = TRY(Renderer::Compile(sample, names).Annotate("target.http"));
  // Nothing is sent with them here, but better now than in the run.
  TRY(Credentials::Load(renderer));
  std::unique_ptr<DryRunTarget> target(new DryRunTarget(std::move(renderer), done));
  if (probe) {
    Renderer probing = TRY(Renderer::Compile(probe->request, names).Annotate("target.http.dryRun"));
    const SafeRequest safe =
        TRY(SafeRequest::From(std::move(probing), probe->effects).Annotate("target.http.dryRun"));
    target->prober_ = TRY(HttpSender::Create(io, safe, outcomes, options, std::move(done)));
  }
  return target;
}

void DryRunTarget::Send(const Dispatch& dispatch, Time now) {
  Sample(dispatch);
  // Rendered like the real thing, also where a probe is sent: what cannot be rendered shows here
  // and not in the middle of the run.
  rendered_.clear();
  const Status rendered = sample_.Append(*dispatch.records, rendered_);
  if (rendered && prober_) return prober_->Send(dispatch, now);
  BatchResult result{.verdict = {Outcome::kUnchanged, {}, {}}};
  if (!rendered)
    result.verdict = {Outcome::kFailed, FailureClass::kPermanent, rendered.error().message};
  done_(dispatch.slot, std::move(result));
}

void DryRunTarget::Sample(const Dispatch& dispatch) {
  if (first_ < kFirstSamples) {
    ++first_;
  } else if (spread_.size() >= kSpreadSamples || !spread_.insert(dispatch.shard).second) {
    return;
  }
  samples_.push_back({dispatch.shard, CutToUtf8(dispatch.records->front().key, 256),
                      sample_.Describe(*dispatch.records, kMaxSampleBytes)});
}

void DryRunTarget::Tick(Time now) {
  if (prober_) prober_->Tick(now);
}

void DryRunTarget::Withdraw() {
  if (prober_) prober_->Withdraw();
}

std::vector<TargetSample> DryRunTarget::TakeSamples() { return std::exchange(samples_, {}); }

}  // namespace backfill::worker
