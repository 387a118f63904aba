#include "worker/worker.h"

#include <atomic>
#include <optional>
#include <utility>  // before boost/asio.hpp: Boost 1.74 uses std::exchange without including it

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "backfill/v1/coordinator.pb.h"
#include "base/log.h"
#include "base/sent_file.h"
#include "worker/link/link.h"
#include "worker/link/session.h"
#include "worker/worker_loop.h"
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

class Worker::Impl final : public Session::Host, public WorkerLoop::Stage {
 public:
  explicit Impl(Settings settings)
      : loop_(std::move(settings), kTick, *this),
        pause_(loop_.io()),
        session_(loop_.session_options(), *this) {}

  int Run() {
    if (const auto fd = loop_.settings().sent_fd)
      session_.engine().NoteWhatIsSent(notes_.emplace(*fd));
    return loop_.Run();
  }

 private:
  // ---- Session::Host
  bool Send(std::uint64_t stream, v1::WorkerMessage message) override {
    return loop_.link().Send(stream, std::move(message));
  }
  void SetReconnectWindow(Duration window) override { loop_.link().SetReconnectWindow(window); }
  void ReconnectSoon() override { loop_.link().ReconnectSoon(); }
  Status OnWorkload(const v1::Workload& workload) override {
    work_ = TRY(MakeWork(
        workload, loop_.settings().stage, loop_.io(), loop_.seed(),
        [this](std::uint32_t slot, BatchResult result) {
          if (result.unreachable) LogUnreachable(result.verdict.message);
          session_.engine().OnResult(slot, std::move(result), Now());
          loop_.Turn();
        },
        [this] { OnSource(); }));
    if (work_.partition_of) session_.engine().PartitionBy(work_.partition_of);
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

  // ---- WorkerLoop::Stage
  StageSession& session() override { return session_; }
  void OnTick(Time now) override {
    if (work_.target) work_.target->Tick(now);
    session_.Tick(now);
  }

  void OnSource() {  // any thread
    if (source_woken_.exchange(true)) return;
    loop_.Post([this] {
      source_woken_ = false;
      session_.SetSourceTrouble(work_.source->trouble());
      session_.Tick(Now());
      loop_.Turn();
    });
  }

  // Starts whatever may start now. Answers that come from within it only leave work for its next
  // round.
  void Pump() override {
    if (pumping_ || !work_.target) return;
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
    if (left == 0) {
      if (!std::exchange(pump_posted_, true)) {
        loop_.Post([this] {
          pump_posted_ = false;
          loop_.Turn();
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
      loop_.Turn();
    });
  }

  std::atomic<bool> source_woken_{false};
  std::optional<NotesInFile> notes_;  // the engine refers to it
  WorkerLoop loop_;
  Timer pause_;
  Time pause_until_{};
  Session session_;
  Work work_;
  bool pumping_ = false;
  bool pump_posted_ = false;
  std::uint64_t news_ = 0;
  std::optional<Time> logged_unreachable_;
};

Worker::Worker(Settings settings) : impl_(std::make_unique<Impl>(std::move(settings))) {}
Worker::~Worker() = default;
int Worker::Run() { return impl_->Run(); }

}  // namespace backfill::worker
