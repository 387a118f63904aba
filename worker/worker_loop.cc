#include "worker/worker_loop.h"

#include <atomic>
#include <csignal>
#include <random>
#include <utility>  // before boost/asio.hpp: Boost 1.74 uses std::exchange without including it

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include "backfill/v1/coordinator.pb.h"
#include "base/log.h"
#include "worker/link/link.h"
#include "worker/worker.h"

namespace backfill::worker {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

Time LoopNow() { return std::chrono::steady_clock::now(); }

std::uint64_t Seed() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

}  // namespace

class WorkerLoop::Impl {
 public:
  Impl(Settings settings, Duration tick, Stage& stage)
      : settings_(std::move(settings)),
        seed_(Seed()),
        tick_every_(tick),
        stage_(stage),
        io_(1),
        tick_(io_),
        signals_(io_),
        lifeline_(io_),
        link_({.dial = {.address = settings_.coordinator,
                        .token = std::exchange(settings_.token, {}),
                        .token_file = settings_.token_file,
                        .ca_file = settings_.ca_file,
                        .server_name = settings_.server_name},
               .seed = seed_},
              [this] { OnWake(); }) {}

  int Run() {
    Log(LogLevel::kInfo, "the worker begins",
        {{"namespace", settings_.ns},
         {"backfill", settings_.name},
         {"stage", settings_.stage},
         {"worker", settings_.worker},
         {"instance", settings_.instance}});
    signals_.add(SIGTERM);
    signals_.async_wait([this](error_code ec, int) {
      if (ec) return;
      stage_.session().Drain(LoopNow());
      Turn();
    });
    if (settings_.lifeline_fd) WatchLifeline(*settings_.lifeline_fd);
    OnTick();
    link_.Start();
    io_.run();
    return exit_code_;
  }

  void Turn() {
    stage_.Pump();
    const auto& ended = stage_.session().ended();
    if (!ended || io_.stopped()) return;
    exit_code_ = ExitCodeOf(*ended);
    Log(LogLevel::kInfo, "the worker ends", {{"exit_code", std::to_string(exit_code_)}});
    io_.stop();
  }

  void Post(std::function<void()> f) { asio::post(io_, std::move(f)); }
  asio::io_context& io() { return io_; }
  Link& link() { return link_; }
  [[nodiscard]] const Settings& settings() const { return settings_; }
  [[nodiscard]] std::uint64_t seed() const { return seed_; }

 private:
  void OnWake() {  // any thread
    if (!woken_.exchange(true)) asio::post(io_, [this] { PollLink(); });
  }

  void PollLink() {
    woken_ = false;
    StageSession& session = stage_.session();
    while (const auto event = link_.Poll()) {
      switch (event->kind) {
        case Link::Event::Kind::kConnected:
          session.OnConnected(event->stream, LoopNow());
          break;
        case Link::Event::Kind::kMessage:
          session.OnMessage(event->stream, *event->message, LoopNow());
          break;
        case Link::Event::Kind::kDisconnected:
          session.OnDisconnected(event->stream, event->error, LoopNow());
          break;
      }
    }
    Turn();
  }

  void OnTick() {
    const Time now = LoopNow();
    stage_.OnTick(now);
    link_.CutIfSilent(now);
    Turn();
    tick_.expires_after(tick_every_);
    tick_.async_wait([this](error_code ec) {
      if (!ec) OnTick();
    });
  }

  void WatchLifeline(int fd) {
    error_code ec;
    lifeline_.assign(fd, ec);
    if (ec) return OnLifelineCut();
    lifeline_.async_read_some(asio::buffer(lifeline_byte_),
                              [this](error_code read_ec, std::size_t) {
                                // Nobody writes to it: whatever comes, it is the end.
                                (void)read_ec;
                                OnLifelineCut();
                              });
  }

  void OnLifelineCut() {
    Log(LogLevel::kError, "the runner has died");
    // At once: nobody is left to report to, and another runner may be waiting for this process to
    // be gone.
    std::_Exit(kExitFailed);
  }

  Settings settings_;
  const std::uint64_t seed_;
  const Duration tick_every_;
  Stage& stage_;
  asio::io_context io_;
  asio::steady_timer tick_;
  asio::signal_set signals_;
  asio::posix::stream_descriptor lifeline_;
  char lifeline_byte_[1] = {};
  int exit_code_ = kExitFailed;
  std::atomic<bool> woken_{false};
  Link link_;  // last: its threads end before the rest goes
};

WorkerLoop::WorkerLoop(Settings settings, Duration tick, Stage& stage)
    : impl_(std::make_unique<Impl>(std::move(settings), tick, stage)) {}
WorkerLoop::~WorkerLoop() = default;
int WorkerLoop::Run() { return impl_->Run(); }
void WorkerLoop::Turn() { impl_->Turn(); }
void WorkerLoop::Post(std::function<void()> f) { impl_->Post(std::move(f)); }
asio::io_context& WorkerLoop::io() { return impl_->io(); }
Link& WorkerLoop::link() { return impl_->link(); }
const Settings& WorkerLoop::settings() const { return impl_->settings(); }
std::uint64_t WorkerLoop::seed() const { return impl_->seed(); }

SessionOptions WorkerLoop::session_options() const {
  const Settings& settings = impl_->settings();
  return {.uid = settings.uid,
          .stage = settings.stage,
          .worker = settings.worker,
          .instance = settings.instance,
          .seed = impl_->seed()};
}

}  // namespace backfill::worker
