#include "worker/plan/plan_worker.h"

#include <chrono>
#include <utility>

#include "base/log.h"
#include "worker/link/link.h"
#include "worker/plan/plan_pass.h"
#include "worker/plan/plan_session.h"
#include "worker/worker_loop.h"

namespace backfill::worker {
namespace {

constexpr Duration kPlanTick = 100ms;

}  // namespace

class PlanWorker::Impl final : public PlanSession::Host, public WorkerLoop::Stage {
 public:
  explicit Impl(Settings settings)
      : loop_(std::move(settings), kPlanTick, *this), session_(loop_.session_options(), *this) {}

  int Run() { return loop_.Run(); }

 private:
  // ---- PlanSession::Host
  bool Send(std::uint64_t stream, v1::WorkerMessage message) override {
    return loop_.link().Send(stream, std::move(message));
  }
  Status OnWorkload(const v1::Workload& workload) override {
    pass_ = TRY(PlanPass::Start(workload, [this] { loop_.Post([this] { OnFound(); }); }));
    Log(LogLevel::kInfo, "the source is being read");
    return Ok{};
  }

  // ---- WorkerLoop::Stage
  StageSession& session() override { return session_; }
  void OnTick(Time) override {}
  void Pump() override {
    session_.Tick(pass_ ? pass_->progress() : rows::PlanProgress{},
                  std::chrono::steady_clock::now());
  }

  void OnFound() {
    const auto found = pass_->found();
    if (!found) return;
    if (found->ok()) {
      Log(LogLevel::kInfo, "the source has been read",
          {{"records", std::to_string(pass_->progress().records)},
           {"shards", std::to_string((*found)->shards.size())}});
    } else {
      Log(LogLevel::kError, "the source cannot be planned", {{"error", found->error().message}});
    }
    session_.SetFound(*found);
    loop_.Turn();
  }

  WorkerLoop loop_;
  PlanSession session_;
  std::unique_ptr<PlanPass> pass_;
};

PlanWorker::PlanWorker(Settings settings) : impl_(std::make_unique<Impl>(std::move(settings))) {}
PlanWorker::~PlanWorker() = default;
int PlanWorker::Run() { return impl_->Run(); }

}  // namespace backfill::worker
