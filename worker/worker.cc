#include "worker/worker.h"

#include <atomic>
#include <csignal>
#include <optional>
#include <random>
#include <utility>  // before boost/asio.hpp: Boost 1.74 uses std::exchange without including it

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include "backfill/v1/coordinator.pb.h"
#include "base/log.h"
#include "base/sent_file.h"
#include "worker/link/link.h"
#include "worker/link/session.h"
#include "worker/workload.h"

namespace backfill::worker {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                         asio::wait_traits<std::chrono::steady_clock>,
                                         asio::io_context::executor_type>;

constexpr Duration kTick = 20ms;
constexpr Duration kShortestWait = 1ms;
constexpr Duration kLogEvery = 10s;
// Requests started in one go; then the sockets get their turn.
constexpr int kBurst = 512;

Time Now() { return std::chrono::steady_clock::now(); }

std::uint64_t Seed() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

class NotesInFile final : public SentNotes {
 public:
  explicit NotesInFile(int fd) : file_(fd) {}
  bool Raise(const LeaseKey& key, std::uint64_t records) override {
    const bool noted = file_.Raise(key.shard, key.attempt, records);
    if (!noted) Log(LogLevel::kError, "what is sent cannot be noted, so nothing is sent", {});
    return noted;
  }
  void Forget(const LeaseKey& key) override { file_.Forget(key.shard, key.attempt); }

 private:
  SentFile file_;
};

}  // namespace

int ExitCodeOf(SessionEnd end) {
  switch (end) {
    case SessionEnd::kNoMoreWork:
      return kExitDone;
    case SessionEnd::kDrained:
      return kExitTerminated;
    case SessionEnd::kBadWorkload:
      return kExitBadWorkload;
    case SessionEnd::kRefused:
      return kExitRefused;
    case SessionEnd::kOutOfStep:
      return kExitFailed;
  }
  return kExitFailed;
}

class Worker::Impl final : public Session::Host {
 public:
  explicit Impl(Settings settings)
      : settings_(std::move(settings)),
        seed_(Seed()),
        io_(1),
        tick_(io_),
        pause_(io_),
        signals_(io_),
        lifeline_(io_),
        session_({.uid = settings_.uid,
                  .stage = settings_.stage,
                  .worker = settings_.worker,
                  .instance = settings_.instance,
                  .seed = seed_},
                 *this),
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
      session_.Drain(Now());
      Pump();
    });
    if (settings_.lifeline_fd) WatchLifeline(*settings_.lifeline_fd);
    if (settings_.sent_fd) session_.engine().NoteWhatIsSent(notes_.emplace(*settings_.sent_fd));
    OnTick();
    link_.Start();
    io_.run();
    return exit_code_;
  }

 private:
  // ---- Session::Host
  bool Send(std::uint64_t stream, v1::WorkerMessage message) override {
    return link_.Send(stream, std::move(message));
  }
  void SetReconnectWindow(Duration window) override { link_.SetReconnectWindow(window); }
  void ReconnectSoon() override { link_.ReconnectSoon(); }
  Status OnWorkload(const v1::Workload& workload) override {
    work_ = TRY(MakeWork(
        workload, settings_.stage, io_, seed_,
        [this](std::uint32_t slot, BatchResult result) {
          if (result.unreachable) LogUnreachable(result.verdict.message);
          session_.engine().OnResult(slot, std::move(result), Now());
          Pump();
        },
        [this] { OnSource(); }));
    return Ok{};
  }
  void OnExtent(const v1::FileExtent& extent) override {
    if (!work_.source) return;
    work_.source->Know({.first = extent.first(),
                        .records = extent.records(),
                        .offset = extent.offset(),
                        .bytes = extent.bytes(),
                        .line = extent.line(),
                        .crc32c = extent.crc32c()});
  }
  std::vector<TargetSample> TakeSamples() override {
    return work_.target ? work_.target->TakeSamples() : std::vector<TargetSample>{};
  }

  void OnSource() {  // any thread
    if (source_woken_.exchange(true)) return;
    asio::post(io_, [this] {
      source_woken_ = false;
      session_.SetSourceTrouble(work_.source->trouble());
      session_.Tick(Now());
      Pump();
    });
  }

  void OnWake() {  // any thread
    if (!woken_.exchange(true)) asio::post(io_, [this] { PollLink(); });
  }

  void PollLink() {
    woken_ = false;
    while (const auto event = link_.Poll()) {
      switch (event->kind) {
        case Link::Event::Kind::kConnected:
          session_.OnConnected(event->stream, Now());
          break;
        case Link::Event::Kind::kMessage:
          session_.OnMessage(event->stream, *event->message, Now());
          break;
        case Link::Event::Kind::kDisconnected:
          session_.OnDisconnected(event->stream, event->error, Now());
          break;
      }
    }
    Pump();
  }

  void OnTick() {
    const Time now = Now();
    if (work_.target) work_.target->Tick(now);
    session_.Tick(now);
    link_.CutIfSilent(now);
    Pump();
    tick_.expires_after(kTick);
    tick_.async_wait([this](error_code ec) {
      if (!ec) OnTick();
    });
  }

  // Starts whatever may start now. Answers that come from within it only leave work for its next
  // round.
  void Pump() {
    if (pumping_ || !work_.target) return StopIfEnded();
    pumping_ = true;
    Engine& engine = session_.engine();
    if (engine.stopped()) work_.target->Withdraw();
    int left = kBurst;
    for (; left > 0 && !session_.ended(); --left) {
      ReadMore();
      if (session_.ended() || engine.busy()) break;
      // Taken anew for each request: a process that was stopped must not go on with an old time.
      const Time now = Now();
      const auto dispatch = engine.Next(now);
      if (!dispatch) break;
      work_.target->Send(*dispatch, now);
    }
    pumping_ = false;
    if (engine.news() != news_) {
      news_ = engine.news();
      session_.Tick(Now());
    }
    StopIfEnded();
    if (left == 0) {
      if (!std::exchange(pump_posted_, true)) {
        asio::post(io_, [this] {
          pump_posted_ = false;
          Pump();
        });
      }
    } else {
      WakeAt(std::min(engine.busy() ? Time::max() : engine.wake_at(), session_.wake_at()));
    }
  }

  // A target that is away would fill the log with one line per probe.
  void LogUnreachable(const std::string& why) {
    const Time now = Now();
    if (logged_unreachable_ && now - *logged_unreachable_ < kLogEvery) return;
    logged_unreachable_ = now;
    Log(LogLevel::kWarning, "the target cannot be reached", {{"error", why}});
  }

  void ReadMore() {
    while (const auto wants = session_.engine().WantsRecords()) {
      auto records = work_.source->Read({wants->from, Advance(wants->from, wants->max)});
      if (!records) {
        if (records.error().code == ErrorCode::kInvalid)
          session_.GiveUp(records.error().Annotate("reading the source"));
        return;  // once it is there, or with the next tick
      }
      const Status taken = session_.engine().OnRecords(wants->run, std::move(*records));
      if (!taken) {
        session_.GiveUp(taken.error().Annotate("reading the source"));
        return;
      }
    }
  }

  // For pacing, and reports, finer than the tick.
  void WakeAt(Time at) {
    if (at == Time::max()) return;
    const Time now = Now();
    if (at >= now + kTick || (pause_until_ > now && pause_until_ <= at)) return;
    pause_until_ = std::max(at, now + kShortestWait);
    pause_.expires_at(pause_until_);
    pause_.async_wait([this](error_code ec) {
      if (ec) return;
      session_.Tick(Now());
      Pump();
    });
  }

  void StopIfEnded() {
    if (!session_.ended() || io_.stopped()) return;
    exit_code_ = ExitCodeOf(*session_.ended());
    Log(LogLevel::kInfo, "the worker ends", {{"exit_code", std::to_string(exit_code_)}});
    io_.stop();
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

  std::optional<NotesInFile> notes_;  // the engine refers to it
  Settings settings_;
  const std::uint64_t seed_;
  asio::io_context io_;
  Timer tick_;
  Timer pause_;
  Time pause_until_{};
  asio::signal_set signals_;
  asio::posix::stream_descriptor lifeline_;
  char lifeline_byte_[1] = {};

  Session session_;
  Work work_;
  bool pumping_ = false;
  bool pump_posted_ = false;
  std::uint64_t news_ = 0;
  std::optional<Time> logged_unreachable_;
  int exit_code_ = kExitFailed;

  std::atomic<bool> woken_{false};
  std::atomic<bool> source_woken_{false};
  Link link_;  // last: its threads end before the rest goes
};

Worker::Worker(Settings settings) : impl_(std::make_unique<Impl>(std::move(settings))) {}
Worker::~Worker() = default;
int Worker::Run() { return impl_->Run(); }

}  // namespace backfill::worker
