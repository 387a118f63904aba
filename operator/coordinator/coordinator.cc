#include "operator/coordinator/coordinator.h"

#include <algorithm>
#include <future>
#include <map>
#include <set>
#include <thread>
#include <tuple>
#include <utility>

#include "backfill/v1/coordinator.pb.h"
#include "base/log.h"
#include "base/mutex.h"
#include "operator/coordinator/call_all.h"
#include "operator/coordinator/coordinator_metrics.h"
#include "operator/coordinator/ledger_store.h"
#include "operator/coordinator/loop.h"
#include "operator/coordinator/plan_run.h"
#include "operator/coordinator/server.h"
#include "operator/coordinator/stage_messages.h"
#include "operator/coordinator/stage_run.h"
#include "operator/coordinator/takeover.h"
#include "operator/coordinator/workload.h"
#include "operator/observe/worker_signals.h"
#include "operator/reconcile/throttle_options.h"

namespace backfill::coordinator {
namespace {

using reconcile::Stage;
using reconcile::StageKey;
using reconcile::StageSnapshot;

constexpr Duration kServerTick = std::chrono::seconds(1);
constexpr Duration kPlanReportPeriod = std::chrono::seconds(1);
constexpr std::size_t kPerHand = 64;  // messages; fewer are not worth a thread
constexpr unsigned kMostHands = 4;
constexpr Duration kReadIsFresh = std::chrono::seconds(5);
constexpr std::size_t kMaxJustRead = 8;  // ledgers, of up to some MiB each
constexpr std::size_t kMaxProcesses = 100'000;
// Of those that wait for their stage to be opened. A Hello names a few leases.
constexpr std::size_t kMaxWaiting = 2'000;
constexpr std::size_t kMaxWaitingBytes = std::size_t{16} << 10;

// Of shards in flight, where every process has ended.
std::map<ShardId, std::uint64_t> SentAtMost(
    const ledger::Ledger& ledger,
    const std::function<std::optional<SentBounds>(const std::string& holder)>& sent_by) {
  std::map<std::string, std::optional<SentBounds>> known;
  std::map<ShardId, std::uint64_t> out;
  ledger.ForEach([&](const ledger::Shard& s) {
    if (s.state != ledger::ShardState::kInFlight) return;
    auto of_holder = known.find(s.holder);
    if (of_holder == known.end()) of_holder = known.emplace(s.holder, sent_by(s.holder)).first;
    if (!of_holder->second) return;
    const auto bound = of_holder->second->find({s.id, s.attempt});
    out[s.id] = bound == of_holder->second->end() ? 0 : bound->second;
  });
  return out;
}

}  // namespace

struct Coordinator::Impl final : SessionHandler, MessageSink {
  // How a worker names a stage: uid and stage.
  using Route = std::pair<std::string, std::string>;

  // Carries the batches of one stage to the writer thread and their outcomes back. Outlives its
  // stage while one is under way.
  class Writer final : public LedgerWriter {
   public:
    Writer(Impl& impl, const StageKey& key, std::unique_ptr<LedgerStore> store, Epoch epoch)
        : impl_(impl), key_(key), store_(std::move(store)), epoch_(epoch) {}
    void Write(std::vector<LedgerWrite> batch) override {
      const auto shared = std::make_shared<std::vector<LedgerWrite>>(std::move(batch));
      const Time handed_over = impl_.clock.Steady();
      const bool posted = impl_.writer.Post(
          [&impl = impl_, key = key_, store = store_, epoch = epoch_, shared, handed_over] {
            const WriteOutcome outcome = store->Write(*shared, epoch);
            impl.metrics.Flushed(*shared, outcome, impl.clock.Steady() - handed_over);
            impl.loop.Post([&impl, key, epoch, outcome] { impl.OnWritten(key, epoch, outcome); });
          });
      // Only when all ends: what is not confirmed is never promised.
      if (!posted) Log(LogLevel::kWarning, "the ledger writer has stopped");
    }

   private:
    Impl& impl_;
    const StageKey key_;
    const std::shared_ptr<LedgerStore> store_;
    const Epoch epoch_;
  };

  struct JustRead {
    std::unique_ptr<LedgerStore> store;
    ledger::Ledger ledger;
    Time at;
  };

  struct Waiting {
    v1::WorkerMessage hello;
    Time arrived;
  };

  struct OpenStage {
    Epoch epoch;
    std::unique_ptr<Writer> writer;
    std::unique_ptr<StageRun> run;
    std::vector<std::shared_ptr<std::promise<Status>>> closing;  // who waits for its end
  };

  Impl(kube::ObjectStore& store_in, const Clock& clock_in, const Leadership& leadership_in,
       const CoordinatorOptions& options_in)
      : store(store_in),
        clock(clock_in),
        leadership(leadership_in),
        options(options_in),
        metrics(options.metrics != nullptr ? *options.metrics : no_metrics),
        server(options.server, clock, *this),
        loop("bf-coordinator", options.tick, [this] { Settle(); }),
        writer("bf-ledger", std::chrono::seconds(1), [] {}) {}

  // ---- gRPC threads

  void OnMessage(SessionId session, v1::WorkerMessage&& message) override {
    const auto shared = std::make_shared<v1::WorkerMessage>(std::move(message));
    const Time arrived = clock.Steady();
    if (!loop.Post([this, session, shared, arrived] {
          Handle(session, *shared, arrived);
          metrics.Handled(*shared, clock.Steady() - arrived);
        })) {
      server.Close(session, {ErrorCode::kUnavailable, "overloaded"});
    }
  }
  void OnGone(SessionId session) override {
    loop.Post([this, session] { Forget(session); });
  }
  // R38: asked anew for each stream.
  [[nodiscard]] bool Serves() const override { return leadership.Valid(clock.Steady()); }

  // ---- the loop

  void Send(SessionId session, v1::CoordinatorMessage&& message) override {
    server.Send(session, std::move(message));
  }
  // A new rate for a thousand workers is a thousand messages over TLS, some 60 us of CPU time each:
  // with several hands, which all end before anything else is sent, they are there sooner.
  void SendAll(std::vector<Outgoing>&& messages) override {
    const std::size_t parts = (messages.size() + kPerHand - 1) / kPerHand;
    CallAll(static_cast<int>(parts), hands, [&](int part) {
      const std::size_t begin = static_cast<std::size_t>(part) * kPerHand;
      const std::size_t end = std::min(begin + kPerHand, messages.size());
      for (std::size_t i = begin; i < end; ++i) {
        if (!Serves()) return false;
        server.Send(messages[i].session, std::move(messages[i].message));
      }
      return true;
    });
  }
  void Close(SessionId session, const Error& reason) override { server.Close(session, reason); }

  OpenStage* Find(const StageKey& key) {
    const auto it = stages.find(key);
    return it == stages.end() ? nullptr : &it->second;
  }

  PlanRun* FindPlanning(const StageKey& key) {
    const auto it = plannings.find(key);
    return it == plannings.end() ? nullptr : it->second.get();
  }

  void Handle(SessionId session, const v1::WorkerMessage& message, Time arrived) {
    if (message.has_hello()) {
      const auto route = routes.find({message.hello().backfill_uid(), message.hello().stage()});
      if (route == routes.end()) return Await(session, message, arrived);
      sessions[session] = route->second;
      // Who plans holds nothing that could be given away too early.
      if (route->second.stage != Stage::kPlan)
        NoteProcess(route->second, message.hello().instance());
    }
    const auto it = sessions.find(session);
    if (it == sessions.end()) return;
    if (PlanRun* planning = FindPlanning(it->second)) {
      planning->OnMessage(session, message);
    } else if (OpenStage* stage = Find(it->second)) {
      stage->run->OnMessage(session, message, arrived);
    } else {
      return;
    }
    server.ReadNext(session);
  }

  // Its stage is not open yet, or no more.
  void Await(SessionId session, const v1::WorkerMessage& hello, Time arrived) {
    const bool room = waiting.size() < kMaxWaiting && hello.ByteSizeLong() <= kMaxWaitingBytes;
    if (!room || options.hello_patience <= Duration::zero()) return TurnAway(session);
    waiting.emplace(session, Waiting{.hello = hello, .arrived = arrived});
  }
  // The worker tries again until its pool stops it.
  void TurnAway(SessionId session) {
    server.Close(session, {ErrorCode::kUnavailable, "no such stage is open here"});
  }
  void SeeWhoWaits() {
    if (waiting.empty()) return;
    const Time now = clock.Steady();
    const bool leads = leadership.Valid(now);
    std::map<SessionId, Waiting> before;
    before.swap(waiting);
    for (auto& [session, one] : before) {
      const v1::Hello& hello = one.hello.hello();
      if (!leads || now - one.arrived >= options.hello_patience) {
        TurnAway(session);
      } else if (routes.contains({hello.backfill_uid(), hello.stage()})) {
        Handle(session, one.hello, now);
      } else {
        waiting.emplace(session, std::move(one));
      }
    }
  }

  void NoteProcess(const StageKey& key, const std::string& instance) {
    if (!options.predecessors_proven_gone) return;  // nobody will ask
    std::set<std::string>& processes = living[key];
    // One too many is as good as all: the next opening must not take them for gone.
    if (processes.size() < kMaxProcesses && instance.size() <= lease::kMaxName)
      processes.insert(instance);
  }

  void Forget(SessionId session) {
    waiting.erase(session);
    const auto it = sessions.find(session);
    if (it == sessions.end()) return;
    if (OpenStage* stage = Find(it->second)) stage->run->OnGone(session);
    if (PlanRun* planning = FindPlanning(it->second)) planning->OnGone(session);
    sessions.erase(it);
  }

  void OnWritten(const StageKey& key, Epoch epoch, const WriteOutcome& outcome) {
    OpenStage* stage = Find(key);
    if (stage != nullptr && stage->epoch == epoch) stage->run->OnWritten(outcome);
  }

  void Settle() {
    SeeWhoWaits();
    std::vector<StageKey> closed;
    for (auto& [key, stage] : stages) {
      stage.run->Settle();
      if (!stage.closing.empty() && stage.run->closed()) closed.push_back(key);
    }
    for (const StageKey& key : closed) EndStage(key);
    const Time now = clock.Steady();
    if (now - server_ticked < kServerTick) return;
    server_ticked = now;
    ForgetWhatIsOld(now);
    server.Tick();
  }

  // Takes the stage down as it is and tells those who wait.
  void EndStage(const StageKey& key) {
    const auto it = stages.find(key);
    if (it == stages.end()) return;
    const StageSnapshot last = it->second.run->Snapshot();
    Status result = Ok{};
    if (last.error) {
      result = *last.error;
    } else if (!last.flushed) {
      result = Error{ErrorCode::kUnavailable, "not all of the ledger could be written in time"};
    }
    for (const auto& promise : it->second.closing) promise->set_value(result);
    std::erase_if(routes, [&key](const auto& route) { return route.second == key; });
    stages.erase(it);
  }

  kube::ObjectStore& store;
  const Clock& clock;
  const Leadership& leadership;
  const CoordinatorOptions options;
  kube::NoMetrics no_metrics;
  CoordinatorMetrics metrics;

  // What was read to decide on it, and is most often opened next: a new leader reads all of it else
  // twice.
  void Keep(const StageKey& key, JustRead read) {
    MutexLock l(mu);
    just_read.erase(key);
    if (just_read.size() < kMaxJustRead) just_read.emplace(key, std::move(read));
  }
  void ForgetWhatIsOld(Time now) {
    MutexLock l(mu);
    std::erase_if(just_read, [now](const auto& r) { return now - r.second.at >= kReadIsFresh; });
  }
  std::optional<JustRead> TakeJustRead(const StageKey& key) {
    MutexLock l(mu);
    auto node = just_read.extract(key);
    if (!node || clock.Steady() - node.mapped().at >= kReadIsFresh) return std::nullopt;
    return std::move(node.mapped());
  }

  Mutex mu;
  std::set<StageKey> opening GUARDED_BY(mu);
  std::map<StageKey, JustRead> just_read GUARDED_BY(mu);

  // The loop's only.
  std::map<StageKey, OpenStage> stages;
  std::map<StageKey, std::unique_ptr<PlanRun>> plannings;
  std::map<Route, StageKey> routes;
  std::map<SessionId, StageKey> sessions;
  std::map<SessionId, Waiting> waiting;  // who has said Hello to a stage that is not open
  std::map<StageKey, std::set<std::string>>
      living;  // processes that were served here and are not known to have ended
  Time server_ticked{};

  const int hands =
      static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1U, kMostHands));

  Server server;
  Loop loop;
  Loop writer;
};

Coordinator::Coordinator(kube::ObjectStore& store, const Clock& clock, const Leadership& leadership,
                         const CoordinatorOptions& options)
    : impl_(std::make_unique<Impl>(store, clock, leadership, options)) {}

Coordinator::~Coordinator() { Stop(); }

Status Coordinator::Start() {
  impl_->loop.Start();
  impl_->writer.Start();
  return impl_->server.Start();
}

std::string Coordinator::address() const { return impl_->server.address(); }

void Coordinator::Stop() {
  impl_->server.Shutdown();
  impl_->writer.Stop();
  impl_->loop.Stop();
}

ServerCounts Coordinator::counts() const { return impl_->server.counts(); }

void Coordinator::Disconnect(const std::string& instance) { impl_->server.Disconnect(instance); }

Status Coordinator::CreateLedger(const StageKey& key, const plan::Plan& plan) {
  LedgerStore ledger_store(impl_->store, key, impl_->options.store_calls_at_once);
  auto existing = LoadLedger(ledger_store);
  if (existing.ok() && existing->plan_hash() == plan.hash) return Ok{};
  if (existing.ok()) {
    bool leased = false;
    existing->ForEach(
        [&leased](const ledger::Shard& s) { leased = leased || s.attempt.value > 0; });
    if (leased) {
      return Error{ErrorCode::kConflict,
                   "work on another plan (" + existing->plan_hash() + ") has begun"};
    }
    TRY(ledger_store.Remove());
  } else if (existing.error().code != ErrorCode::kNotFound) {
    return existing.error();
  }
  ledger::Ledger ledger = ledger::Ledger::FromPlan(plan);
  std::vector<ledger::ChunkImage> images;
  images.reserve(static_cast<std::size_t>(ledger.chunks()));
  for (int chunk = 0; chunk < ledger.chunks(); ++chunk) {
    images.push_back(ledger.Encode(chunk, Epoch{0}));
  }
  return ledger_store.Create(images, Epoch{0});
}

Result<reconcile::LedgerSummary> Coordinator::ReadLedger(const StageKey& key) {
  auto ledger_store =
      std::make_unique<LedgerStore>(impl_->store, key, impl_->options.store_calls_at_once);
  const Time begun = impl_->clock.Steady();
  ledger::Ledger ledger = TRY(LoadLedger(*ledger_store));
  reconcile::LedgerSummary summary{.plan_hash = ledger.plan_hash(), .totals = ledger.totals()};
  impl_->Keep(key, {.store = std::move(ledger_store), .ledger = std::move(ledger), .at = begun});
  return summary;
}

Result<std::vector<ledger::FailedRecord>> Coordinator::ReadFailures(const StageKey& key) {
  return coordinator::ReadFailures(impl_->store, key);
}

Status Coordinator::Open(const api::Backfill& backfill, const StageKey& key) {
  {
    MutexLock l(impl_->mu);
    if (!impl_->opening.insert(key).second) {
      return Error{ErrorCode::kUnavailable, "the stage is being opened"};
    }
  }
  const Status opened = OpenOnce(backfill, key);
  MutexLock l(impl_->mu);
  impl_->opening.erase(key);
  return opened;
}

Status Coordinator::OpenPlanning(const api::Backfill& backfill, const StageKey& key) {
  const auto workload =
      std::make_shared<v1::Workload>(MakeWorkload(backfill, Stage::kPlan, nullptr));
  (void)TRY(impl_->loop.Call<bool>(
      [impl = impl_.get(), key, workload] {
        if (impl->plannings.contains(key)) return false;
        impl->routes[{key.uid, std::string(reconcile::ToString(key.stage))}] = key;
        impl->plannings[key] = std::make_unique<PlanRun>(*workload, kPlanReportPeriod, impl->clock,
                                                         impl->leadership, *impl);
        return true;
      },
      impl_->options.call_timeout));
  return Ok{};
}

Status Coordinator::OpenOnce(const api::Backfill& backfill, const StageKey& key) {
  if (key.stage == Stage::kPlan) return OpenPlanning(backfill, key);
  Impl* impl = impl_.get();
  struct Before {
    bool open = false;
    bool own_workers = false;
  };
  const Before before = TRY(impl->loop.Call<Before>(
      [impl, key] {
        const auto living = impl->living.find(key);
        return Before{.open = impl->stages.contains(key),
                      .own_workers = living != impl->living.end() && !living->second.empty()};
      },
      impl->options.call_timeout));
  if (before.open) return Ok{};

  const auto& proven_gone = impl->options.predecessors_proven_gone;
  const bool gone = !before.own_workers && proven_gone && proven_gone(key);
  std::optional<Impl::JustRead> read = impl->TakeJustRead(key);
  std::unique_ptr<LedgerStore> ledger_store =
      read ? std::move(read->store)
           : std::make_unique<LedgerStore>(impl->store, key, impl->options.store_calls_at_once);
  TakenOver taken =
      TRY(TakeOver(*ledger_store, read ? std::optional(std::move(read->ledger)) : std::nullopt));

  std::map<ShardId, std::uint64_t> sent_at_most;
  if (gone && impl->options.sent_by) {
    sent_at_most = SentAtMost(taken.ledger, [&](const std::string& holder) {
      return impl->options.sent_by(key, holder);
    });
  }

  const Duration timeout = backfill.spec.target.timeout;
  const std::optional<rows::FileShape> shape = taken.ledger.file_shape();
  auto stage = std::make_shared<Impl::OpenStage>();
  stage->epoch = taken.epoch;
  stage->writer = std::make_unique<Impl::Writer>(*impl, key, std::move(ledger_store), taken.epoch);
  stage->run = std::make_unique<StageRun>(
      StageSetup{
          .workload = MakeWorkload(backfill, key.stage, shape ? &*shape : nullptr),
          .ledger = std::move(taken.ledger),
          .failures = std::move(taken.failures),
          .epoch = taken.epoch,
          .target_timeout = timeout,
          .batch_size = backfill.spec.workers.batch_size,
          .grants = reconcile::GrantTimesOf(backfill.spec.throttle.grants),
          .predecessors = gone ? lease::Predecessors::kProvenGone : lease::Predecessors::kMayLive,
          .sent_at_most = std::move(sent_at_most),
          .on_granted = [impl](Duration took) { impl->metrics.Granted(took); },
          .signals =
              impl->options.signals != nullptr ? impl->options.signals->Of(key.uid) : nullptr},
      impl->options.stage, impl->clock, impl->leadership, *impl, *stage->writer);
  TRY(impl->loop.Call<bool>(
      [impl, key, stage] {
        impl->routes[{key.uid, std::string(reconcile::ToString(key.stage))}] = key;
        return impl->stages.emplace(key, std::move(*stage)).second;
      },
      impl->options.call_timeout));
  return Ok{};
}

void Coordinator::Configure(const StageKey& key, const reconcile::LiveSettings& settings) {
  impl_->loop.Post([impl = impl_.get(), key, settings] {
    if (Impl::OpenStage* stage = impl->Find(key)) stage->run->Configure(settings);
  });
}

std::optional<StageSnapshot> Coordinator::Snapshot(const StageKey& key) {
  auto snapshot = impl_->loop.Call<std::optional<StageSnapshot>>(
      [impl = impl_.get(), key]() -> std::optional<StageSnapshot> {
        Impl::OpenStage* stage = impl->Find(key);
        if (stage == nullptr) return std::nullopt;
        return stage->run->Snapshot();
      },
      impl_->options.call_timeout);
  if (snapshot.ok()) return *snapshot;
  if (snapshot.error().code == ErrorCode::kAborted) return std::nullopt;
  StageSnapshot unknown;
  unknown.error = snapshot.error();
  return unknown;
}

std::optional<reconcile::PlanningSnapshot> Coordinator::Planning(const api::Backfill& backfill) {
  using Seen = std::optional<reconcile::PlanningSnapshot>;
  // Nothing else is read by a worker; and a list of keys is long.
  const bool is_file = std::holds_alternative<api::FileSource>(backfill.spec.source);
  const auto now = std::make_shared<std::string>(
      is_file ? MakeWorkload(backfill, Stage::kPlan, nullptr).SerializeAsString() : "");
  const Result<Seen> seen = impl_->loop.Call<Seen>(
      [impl = impl_.get(), key = KeyOf(backfill, Stage::kPlan), now]() -> Seen {
        const PlanRun* planning = impl->FindPlanning(key);
        if (planning == nullptr) return std::nullopt;
        return planning->Snapshot(*now);
      },
      impl_->options.call_timeout);
  if (seen.ok()) return *seen;
  if (seen.error().code == ErrorCode::kAborted) return std::nullopt;
  return reconcile::PlanningSnapshot{};  // not known, and nothing is to be done about it
}

Result<plan::FoundSource> Coordinator::Found(const StageKey& key) {
  using Found = Result<plan::FoundSource>;
  return TRY(impl_->loop.Call<Found>(
      [impl = impl_.get(), key]() -> Found {
        const PlanRun* planning = impl->FindPlanning(key);
        if (planning == nullptr) return Error{ErrorCode::kNotFound, "nothing is being planned"};
        return planning->Found();
      },
      impl_->options.call_timeout));
}

std::vector<reconcile::Sample> Coordinator::Samples(const StageKey& key) {
  auto samples = impl_->loop.Call<std::vector<reconcile::Sample>>(
      [impl = impl_.get(), key] {
        Impl::OpenStage* stage = impl->Find(key);
        return stage == nullptr ? std::vector<reconcile::Sample>() : stage->run->Samples();
      },
      impl_->options.call_timeout);
  return samples.ok() ? std::move(*samples) : std::vector<reconcile::Sample>();
}

Status Coordinator::Close(const StageKey& key) {
  Impl* impl = impl_.get();
  auto ended = std::make_shared<std::promise<Status>>();
  std::future<Status> future = ended->get_future();
  const bool open = TRY(impl->loop.Call<bool>(
      [impl, key, ended] {
        if (PlanRun* planning = impl->FindPlanning(key)) {
          planning->Close();
          std::erase_if(impl->routes, [&key](const auto& route) { return route.second == key; });
          impl->plannings.erase(key);
          return false;  // nothing of it is to be written
        }
        Impl::OpenStage* stage = impl->Find(key);
        if (stage == nullptr) return false;
        if (stage->closing.empty()) stage->run->BeginClose();
        stage->closing.push_back(ended);
        return true;
      },
      impl->options.call_timeout));
  if (!open) return Ok{};
  if (future.wait_for(impl->options.close_timeout) != std::future_status::ready) {
    TRY(impl->loop.Call<bool>(
        [impl, key] {
          impl->EndStage(key);
          return true;
        },
        impl->options.call_timeout));
  }
  return future.get();
}

void Coordinator::WorkerGone(const StageKey& key, const std::string& worker,
                             const std::string& instance) {
  std::optional<SentBounds> sent;
  if (impl_->options.sent_by) sent = impl_->options.sent_by(key, worker + "/" + instance);
  impl_->loop.Post([impl = impl_.get(), key, worker, instance, sent] {
    if (const auto it = impl->living.find(key); it != impl->living.end()) {
      it->second.erase(instance);
      if (it->second.empty()) impl->living.erase(it);
    }
    if (Impl::OpenStage* stage = impl->Find(key)) stage->run->OnWorkerGone(worker, instance, sent);
  });
}

}  // namespace backfill::coordinator
