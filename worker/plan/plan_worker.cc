#include "worker/plan/plan_worker.h"

#include <csignal>
#include <random>
#include <utility>  // before boost/asio.hpp: Boost 1.74 uses std::exchange without including it

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/log.h"
#include "worker/link/link.h"
#include "worker/plan/plan_pass.h"
#include "worker/plan/plan_session.h"
#include "worker/worker.h"

namespace backfill::worker {
namespace {

constexpr Duration kPlanTick = 100ms;

Time SteadyNow() { return std::chrono::steady_clock::now(); }

}  // namespace

class PlanWorker::Impl final : public PlanSession::Host {
 public:
  explicit Impl(Settings settings)
      : settings_(std::move(settings)),
        io_(1),
        tick_(io_),
        signals_(io_),
        session_({.uid = settings_.uid,
                  .stage = settings_.stage,
                  .worker = settings_.worker,
                  .instance = settings_.instance},
                 *this),
        link_({.dial = {.address = settings_.coordinator,
                        .token = std::exchange(settings_.token, {}),
                        .token_file = settings_.token_file,
                        .ca_file = settings_.ca_file,
                        .server_name = settings_.server_name},
               .seed = std::random_device{}()},
              [this] { Post([this] { PollLink(); }); }) {}

  int Run() {
    Log(LogLevel::kInfo, "the worker begins",
        {{"namespace", settings_.ns},
         {"backfill", settings_.name},
         {"stage", settings_.stage},
         {"worker", settings_.worker},
         {"instance", settings_.instance}});
    signals_.add(SIGTERM);
    signals_.async_wait([this](boost::system::error_code ec, int) {
      if (ec) return;
      session_.Drain();
      Tick();
    });
    OnTick();
    link_.Start();
    io_.run();
    return exit_code_;
  }

 private:
  // ---- PlanSession::Host
  bool Send(std::uint64_t stream, v1::WorkerMessage message) override {
    return link_.Send(stream, std::move(message));
  }
  Status OnWorkload(const v1::Workload& workload) override {
    pass_ = TRY(PlanPass::Start(workload, [this] { Post([this] { OnFound(); }); }));
    Log(LogLevel::kInfo, "the source is being read");
    return Ok{};
  }

  // Any thread.
  template <typename F>
  void Post(F f) {
    boost::asio::post(io_, std::move(f));
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
    Tick();
  }

  void PollLink() {
    while (const auto event = link_.Poll()) {
      switch (event->kind) {
        case Link::Event::Kind::kConnected:
          session_.OnConnected(event->stream);
          break;
        case Link::Event::Kind::kMessage:
          session_.OnMessage(event->stream, *event->message, SteadyNow());
          break;
        case Link::Event::Kind::kDisconnected:
          session_.OnDisconnected(event->stream, event->error, SteadyNow());
          break;
      }
    }
    Tick();
  }

  void OnTick() {
    link_.CutIfSilent(SteadyNow());
    Tick();
    tick_.expires_after(kPlanTick);
    tick_.async_wait([this](boost::system::error_code ec) {
      if (!ec) OnTick();
    });
  }

  void Tick() {
    session_.Tick(pass_ ? pass_->progress() : rows::PlanProgress{}, SteadyNow());
    if (!session_.ended() || io_.stopped()) return;
    exit_code_ = ExitCodeOf(*session_.ended());
    Log(LogLevel::kInfo, "the worker ends", {{"exit_code", std::to_string(exit_code_)}});
    io_.stop();
  }

  Settings settings_;
  boost::asio::io_context io_;
  boost::asio::steady_timer tick_;
  boost::asio::signal_set signals_;
  PlanSession session_;
  std::unique_ptr<PlanPass> pass_;
  int exit_code_ = kExitFailed;
  Link link_;  // last: its threads end before the rest goes
};

PlanWorker::PlanWorker(Settings settings) : impl_(std::make_unique<Impl>(std::move(settings))) {}
PlanWorker::~PlanWorker() = default;
int PlanWorker::Run() { return impl_->Run(); }

}  // namespace backfill::worker
