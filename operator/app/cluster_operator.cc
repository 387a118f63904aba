#include "operator/app/cluster_operator.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <deque>
#include <filesystem>
#include <map>
#include <random>
#include <utility>
#include <vector>

#include "base/log.h"
#include "operator/app/backfill_controller.h"
#include "operator/app/crd_check.h"
#include "operator/app/leader_transport.h"
#include "operator/app/refreshing_finalizers.h"
#include "operator/certificates/authority.h"
#include "operator/certificates/ca_publisher.h"
#include "operator/certificates/certificate_keeper.h"
#include "operator/certificates/mounted_certificates.h"
#include "operator/coordinator/coordinator.h"
#include "operator/decision_log/log_file.h"
#include "operator/identity/token_authenticator.h"
#include "operator/identity/worker_directory.h"
#include "operator/kube/api_store.h"
#include "operator/kube/cache/kinds.h"
#include "operator/kube/cached_store.h"
#include "operator/kube/client/api_client.h"
#include "operator/kube/probes/probe_server.h"
#include "operator/kube/runtime/operator.h"
#include "operator/kube/runtime/retry_schedule.h"
#include "operator/leader/elected_leadership.h"
#include "operator/leader/leader_label.h"
#include "operator/metrics/backfill_metrics.h"
#include "operator/metrics/process_metrics.h"
#include "operator/metrics/throttle_metrics.h"
#include "operator/reconcile/api_events.h"
#include "operator/reconcile/api_finalizers.h"
#include "operator/reconcile/job_pool.h"
#include "operator/reconcile/observed_budgets.h"
#include "operator/reconcile/reconciler.h"

namespace backfill::app {
namespace {

using namespace std::chrono_literals;
using kube::Stage;

std::string Replica(const Settings& settings) {
  if (!settings.pod_name.empty()) return settings.pod_name;
  std::array<char, 256> name{};
  gethostname(name.data(), name.size() - 1);
  return name.data();
}

kube::OperatorOptions OptionsFor(const Settings& s, kube::HttpTransport& lease,
                                 std::function<void(const std::string&)> exit_now) {
  kube::ElectionOptions election;
  election.identity = kube::NewIdentity(Replica(s));
  election.lease = s.lease_duration;
  election.renew_deadline = s.renew_deadline;
  election.retry = s.retry_period;
  election.seed = std::random_device{}();
  return {.leadership =
              kube::Leadership{
                  .transport = lease, .ns = s.ns, .name = s.lease_name, .election = election},
          .exit_now = std::move(exit_now)};
}

kube::RateLimits LimitsOf(const Settings& s) {
  return {.interval =
              std::chrono::duration_cast<Duration>(std::chrono::duration<double>(1 / s.client_qps)),
          .burst = s.client_burst};
}

std::function<Status()> Starts(std::function<void()> start) {
  return [start = std::move(start)] { return start(), Status(Ok{}); };
}

// What is followed in one namespace, or in all.
struct Followed {
  Followed(kube::Operator& op, const std::string& ns)
      : backfills(op.Follow(kube::CachedBackfills(), {.selection = {.ns = ns}})),
        jobs(op.Follow({kube::kJobs, kube::DecodeJob},
                       {.selection = {.ns = ns, .labels = std::string(reconcile::kWorkerSelector)},
                        .indexes = {kube::ByController()}})),
        pods(op.Follow({kube::kPods, kube::DecodePod},
                       {.selection = {.ns = ns,
                                      .labels = std::string(reconcile::kWorkerSelector),
                                      .metadata_only = true},
                        .indexes = {kube::ByController(), kube::ByBackfillOfPod()}})) {}

  kube::FollowedKind& backfills;
  kube::FollowedKind& jobs;
  kube::FollowedKind& pods;
};

coordinator::StageOptions ServedOnACluster() {
  coordinator::StageOptions options;
  // A write costs an API server more than it costs a file.
  options.cursor_flush = 5s;
  options.waited_flush = 200ms;
  options.waited_in_a_row = 3;
  options.reserve_ahead = 2s;
  return options;
}

}  // namespace

// What reconciles the Backfills that are followed.
struct Scope {
  struct Shared {
    const Settings& settings;
    const Clock& clock;
    kube::Operator& op;
    const kube::ApiClient& api;
    kube::ObjectStore& live;
    coordinator::Coordinator& coordinator;
    certificates::CaPublisher& publisher;
    reconcile::EventSink& events;
    metrics::BackfillMetrics& figures;
    const CrdGate& crds;
    reconcile::BudgetReadings& budgets;
    decision_log::DecisionSink* decisions;
    metrics::ThrottleMetrics& throttle_figures;
    reconcile::LookNow look_now;
  };

  Scope(const Shared& with, Followed& of, const std::string& ns)
      : store(with.live, of.backfills.cache(), with.clock, {}),
        pool(with.api, of.jobs.cache(), of.pods.cache(), with.clock, PoolOptions(with)),
        api_finalizers(with.api, with.clock),
        finalizers(api_finalizers, store),
        reconciler(
            store, with.coordinator, pool, with.clock, OptionsOf(with),
            reconcile::OnCluster{
                .finalizers = finalizers, .events = with.events, .next_retry = kube::NextRetry}),
        logic(reconciler, Observer(with)) {
    of.pods.AddListener(pool);
    // Stops after the controller that comes next: by then nobody reconciles any more.
    with.op.Add({.name = "hand-over",
                 .stage = Stage::kControllers,
                 .start = Starts([] {}),
                 .stop = [this](Time) { HandOver(); }});
    queue = &with.op
                 .Control(of.backfills, logic,
                          {.name = ns.empty() ? "backfill" : "backfill-" + ns,
                           .workers = with.settings.reconcile_workers})
                 .Owns(of.jobs)
                 .controller()
                 .queue();
  }

  BackfillObserver Observer(const Shared& with) {
    return {
        .may_begin = [&crds = with.crds] { return crds.IsOpen(); },
        .on_seen =
            [&figures = with.figures, &coordinator = with.coordinator](const api::Backfill& b) {
              const auto stage =
                  b.spec.dry_run ? reconcile::Stage::kDryRun : reconcile::Stage::kRun;
              figures.Update(b, coordinator.Snapshot({b.ns, b.name, b.uid, stage}));
            },
        .on_gone =
            [this, &figures = with.figures](const kube::ObjectKey& key, const std::string& uid) {
              figures.Forget(key.ns, key.name);
              for (const auto stage : reconcile::kStages)
                pool.Forget({key.ns, key.name, uid, stage});
            }};
  }
  static reconcile::ReconcilerOptions OptionsOf(const Shared& with) {
    const Settings& settings = with.settings;
    reconcile::ReconcilerOptions options;
    options.budgets = &with.budgets;
    options.decisions = with.decisions;
    options.throttle_watcher = &with.throttle_figures;
    options.asked_for_glass = settings.break_glass;
    options.look_now = with.look_now;
    options.observe_period = 1s;
    options.status_period = settings.status_period;
    options.status_period_each = 250ms;
    options.drain_timeout = settings.drain_timeout;
    options.worker_image = settings.worker_image;
    options.idle_timeout = settings.worker_idle_timeout;
    return options;
  }
  static reconcile::JobPoolOptions PoolOptions(const Shared& with) {
    coordinator::Coordinator& coordinator = with.coordinator;
    reconcile::JobPoolOptions options;
    options.job.coordinator = with.settings.coordinator_address;
    options.job.image = with.settings.worker_image;
    if (!with.settings.worker_resources.empty())
      options.job.resources = with.settings.worker_resources;
    options.job.ttl_after_finished =
        std::chrono::duration_cast<std::chrono::seconds>(with.settings.worker_ttl);
    options.prepare = [&publisher = with.publisher](const std::string& ns) {
      return publisher.Publish(ns);
    };
    options.on_gone = [&coordinator](const reconcile::StageKey& key, const std::string& worker,
                                     const std::string& instance) {
      coordinator.WorkerGone(key, worker, instance);
    };
    options.on_deleted = [&coordinator](const reconcile::StageKey&, const std::string&,
                                        const std::string& instance) {
      coordinator.Disconnect(instance);
    };
    return options;
  }

  void HandOver() {
    const Status handed = reconciler.HandOver();
    if (!handed.ok())
      Log(LogLevel::kWarning, "not everything was written before the end",
          {{"error", handed.error().message}});
  }

  kube::CachedStore store;
  reconcile::JobPool pool;
  reconcile::ApiFinalizers api_finalizers;
  RefreshingFinalizers finalizers;
  reconcile::Reconciler reconciler;
  BackfillController logic;
  kube::WorkQueue* queue = nullptr;  // of the operator
};

struct ClusterOperator::Impl {
  Impl(const Settings& settings_in, const Connections& to, const Clock& clock_in,
       kube::PrometheusMetrics& prometheus_in, std::function<void(const std::string&)> exit_now)
      : settings(settings_in),
        clock(clock_in),
        prometheus(prometheus_in),
        op(to.watches, clock, prometheus, OptionsFor(settings, to.lease, std::move(exit_now))),
        leading(*op.election()),
        led_calls(to.calls, MayAct(), clock),
        led_ledgers(to.ledgers, MayAct(), clock),
        limiter(LimitsOf(settings), clock),
        api(led_calls, &limiter),
        pods_api(to.calls, nullptr),
        reviews_api(to.reviews, nullptr),
        live(led_calls, to.watches, clock, {}),
        ledgers(led_ledgers, to.watches, clock, {}),
        events(op.RecordEvents(to.calls, "backfill.dev/operator", Replica(settings))),
        crds(api, clock),
        keeper(to.watches, api, clock, leading, KeeperOptions()),
        mounted(clock, {.directory = settings.tls_dir}),
        publisher(api, clock, Bundle(), leading),
        label(pods_api, clock, leading,
              {.ns = settings.ns, .pod = settings.pod_name, .selector = settings.pod_selector}),
        followed(Follow()),
        directory(Caches(), reviews_api),
        authenticator(reviews_api, directory, clock),
        budgets(OptionsOfBudgets(), clock),
        decisions(MakeDecisionLog()),
        coordinator(ledgers, clock, leading, OptionsOfCoordinator()),
        process(clock, ProcessFigures()),
        probes(settings.probes_port, Answers()) {
    prometheus.Add(figures);
    prometheus.Add(throttle_figures);
    prometheus.Add(process);
    AddServers();
    AddWhatALeaderRuns();
    for (std::size_t i = 0; i < followed.size(); ++i)
      scopes.emplace_back(
          Scope::Shared{.settings = settings,
                        .clock = clock,
                        .op = op,
                        .api = api,
                        .live = live,
                        .coordinator = coordinator,
                        .publisher = publisher,
                        .events = events,
                        .figures = figures,
                        .crds = crds,
                        .budgets = budgets,
                        .decisions = decisions.get(),
                        .throttle_figures = throttle_figures,
                        .look_now = [this](const std::string& ns,
                                           const std::string& name) { LookNow(ns, name); }},
          followed[i], Namespaces()[i]);
  }

  ~Impl() { budgets.Stop(); }  // its threads know the scopes
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  [[nodiscard]] bool SelfSigned() const { return settings.tls_mode == TlsMode::kSelfSigned; }
  [[nodiscard]] const certificates::CaBundle& Bundle() const {
    if (SelfSigned()) return keeper;
    return mounted;
  }
  [[nodiscard]] const coordinator::ServerCertificates& Certificates() const {
    if (SelfSigned()) return keeper;
    return mounted;
  }
  std::function<bool(Time)> MayAct() {
    return [this](Time now) { return op.MayActAt(now); };
  }
  [[nodiscard]] std::vector<std::string> Namespaces() const {
    return settings.watch_namespaces.empty() ? std::vector<std::string>{""}
                                             : settings.watch_namespaces;
  }
  std::deque<Followed> Follow() {
    std::deque<Followed> all;
    for (const std::string& ns : Namespaces()) all.emplace_back(op, ns);
    return all;
  }

  // Where a pod is looked for.
  [[nodiscard]] std::vector<identity::WorkerDirectory::Caches> Caches() const {
    std::vector<identity::WorkerDirectory::Caches> all;
    for (const Followed& f : followed)
      all.push_back({&f.pods.cache(), &f.jobs.cache(), &f.backfills.cache()});
    return all;
  }

  certificates::CertificateKeeperOptions KeeperOptions() {
    certificates::CertificateKeeperOptions options;
    options.certificates.secret = {settings.ns, settings.tls_secret};
    options.certificates.names =
        certificates::ServerNames(settings.coordinator_service, settings.ns);
    options.certificates.published_for = [this](const std::string& bundle) {
      return publisher.PublishedFor(bundle);
    };
    options.watch.seed = std::random_device{}();
    return options;
  }
  reconcile::ObservedBudgetsOptions OptionsOfBudgets() {
    reconcile::ObservedBudgetsOptions options;
    options.credentials_folder = settings.metric_credentials_dir;
    options.observer.seed = std::random_device{}();
    options.on_alarm = [this](const std::string& ns, const std::string& name) {
      LookNow(ns, name);
    };
    return options;
  }
  void LookNow(const std::string& ns, const std::string& name) {
    const std::vector<std::string> all = Namespaces();
    for (std::size_t i = 0; i < all.size(); ++i)
      if (all[i].empty() || all[i] == ns) scopes[i].queue->Add({ns, name});
  }
  [[nodiscard]] std::unique_ptr<decision_log::LogFile> MakeDecisionLog() const {
    if (settings.decision_log_dir.empty()) return nullptr;
    decision_log::LogFileOptions options;
    options.path = std::filesystem::path(settings.decision_log_dir) / "decisions.log";
    options.max_bytes = static_cast<std::uint64_t>(settings.decision_log_mebibytes) << 20U;
    return std::make_unique<decision_log::LogFile>(options);
  }
  coordinator::CoordinatorOptions OptionsOfCoordinator() {
    coordinator::CoordinatorOptions options;
    options.server.listen = settings.grpc_listen;
    options.server.network.max_age = settings.grpc_max_connection_age;
    options.server.certificates = &Certificates();
    options.server.authenticator = &authenticator;
    options.stage = ServedOnACluster();
    options.store_calls_at_once = 8;
    options.signals = &budgets.signals();
    options.metrics = &prometheus;
    return options;
  }

  // Of every replica.
  void AddServers() {
    if (decisions)
      op.Add({.name = "decision-log",
              .stage = Stage::kHttp,
              .start = [this] { return decisions->Start(); },
              .stop = [this](Time) { decisions->Stop(); }});
    op.Add({.name = "probes",
            .stage = Stage::kHttp,
            .start = [this] { return probes.Start(); },
            .stop = [this](Time) { probes.Stop(); }});
    if (SelfSigned()) {
      op.Add({.name = "certificates",
              .stage = Stage::kWatches,
              .start = Starts([this] { keeper.Start(); }),
              .stop = [this](Time) { keeper.Stop(); }});
    } else {
      op.Add({.name = "certificates",
              .stage = Stage::kWatches,
              .start = Starts([this] { mounted.Start(); }),
              .stop = [this](Time) { mounted.Stop(); }});
    }
    // Also by who waits, so that it need not when it leads.
    op.Add({.name = "crds",
            .stage = Stage::kWatches,
            .start = Starts([this] { crds.Start(); }),
            .stop = [this](Time) { crds.Stop(); }});
    op.Add({.name = "authenticator",
            .stage = Stage::kGrpc,
            .start = Starts([this] { authenticator.Start(); }),
            .stop = [this](Time) { authenticator.Stop(); }});
    op.Add({.name = "coordinator",
            .stage = Stage::kGrpc,
            .start = [this] { return Listen(); },
            .stop = [this](Time) { coordinator.Stop(); }});
    op.ready().Add("grpc", [this](Time) { return listening ? "" : "not listening yet"; });
  }

  Status Listen() {
    TRY(coordinator.Start());
    listening = true;
    // Labels survive the restart of a container. What is left is taken off by whoever leads.
    if (settings.pod_name.empty()) return Ok{};
    if (const Status cleared = label.ClearOwn(clock.Steady() + 5s); !cleared.ok())
      Log(LogLevel::kWarning, "the label of the leader was not cleared",
          {{"error", cleared.error().message}});
    return Ok{};
  }

  void AddWhatALeaderRuns() {
    op.Add({.name = "ca-publisher",
            .stage = Stage::kControllers,
            .start = Starts([this] { publisher.Start(); }),
            .stop = [this](Time) { publisher.Stop(); }});
    if (settings.pod_name.empty()) return;  // no Service selects what is no pod
    op.Add({.name = "leader-label",
            .stage = Stage::kControllers,
            .start = Starts([this] { label.Start(); }),
            .stop = [this](Time deadline) { label.Stop(deadline); }});
  }

  metrics::ProcessFigures ProcessFigures() {
    metrics::ProcessFigures all;
    all.auth_failures = [this] {
      const coordinator::ServerCounts c = coordinator.counts();
      return std::map<std::string, std::uint64_t>{
          {"token", c.unauthenticated}, {"no_worker", c.forbidden}, {"foreign", c.foreign},
          {"superseded", c.superseded}, {"undecided", c.undecided}, {"address_closed", c.closed},
          {"revoked", c.revoked}};
    };
    all.turned_away = [this] { return coordinator.counts().turned_away; };
    all.certificate_ends = [this] {
      const certificates::CertificateEnds ends = SelfSigned() ? keeper.Ends() : mounted.Ends();
      std::map<std::string, WallTime> known;
      if (ends.server) known["server"] = *ends.server;
      if (ends.authority) known["authority"] = *ends.authority;
      return known;
    };
    all.leader_epoch = [this] { return op.election()->epoch(); };
    all.crd_outdated = [this] { return crds.IsOutdated(); };
    for (const Followed& f : followed)
      for (const kube::FollowedKind* kind : {&f.backfills, &f.jobs, &f.pods})
        all.informers.push_back(&kind->informer());
    return all;
  }

  std::map<std::string, kube::ProbeServer::Answer> Answers() {
    std::map<std::string, kube::ProbeServer::Answer> answers = Probes();
    if (decisions)
      answers["/decisions"] = [this] {
        return kube::ProbeAnswer{.body = decisions->ReadAll(),
                                 .content_type = "application/x-ndjson"};
      };
    return answers;
  }
  std::map<std::string, kube::ProbeServer::Answer> Probes() {
    const auto ask = [this](kube::HealthBoard& board) {
      const auto report = board.Ask(clock.Steady());
      return kube::ProbeAnswer{.status = report.ok ? 200 : 500, .body = report.text};
    };
    return {{"/healthz", [this, ask] { return ask(op.alive()); }},
            {"/readyz", [this, ask] { return ask(op.ready()); }},
            {"/metrics", [this] {
               return kube::ProbeAnswer{.body = prometheus.Text(),
                                        .content_type = "text/plain; version=0.0.4"};
             }}};
  }

  // ---- constant
  const Settings settings;
  const Clock& clock;
  kube::PrometheusMetrics& prometheus;

  // ---- to the API server: what only a leader may write goes through led_calls and led_ledgers
  kube::Operator op;
  const leader::ElectedLeadership leading;
  LeaderTransport led_calls;
  LeaderTransport led_ledgers;
  kube::RateLimiter limiter;
  const kube::ApiClient api;
  const kube::ApiClient pods_api;
  const kube::ApiClient reviews_api;
  kube::ApiStore live;
  kube::ApiStore ledgers;
  reconcile::ApiEvents events;
  CrdGate crds;

  // ---- who we are for workers, and who they are
  certificates::CertificateKeeper keeper;
  certificates::MountedCertificates mounted;
  certificates::CaPublisher publisher;
  leader::LeaderLabel label;
  std::deque<Followed> followed;
  const identity::WorkerDirectory directory;
  identity::TokenAuthenticator authenticator;
  reconcile::ObservedBudgets budgets;
  const std::unique_ptr<decision_log::LogFile> decisions;  // null: there is none
  coordinator::Coordinator coordinator;
  std::atomic<bool> listening = false;

  // ---- how it is
  metrics::BackfillMetrics figures;
  metrics::ThrottleMetrics throttle_figures;
  const metrics::ProcessMetrics process;
  kube::ProbeServer probes;

  std::deque<Scope> scopes;
};

ClusterOperator::ClusterOperator(const Settings& settings, const Connections& connections,
                                 const Clock& clock, kube::PrometheusMetrics& metrics,
                                 std::function<void(const std::string& reason)> exit_now)
    : impl_(std::make_unique<Impl>(settings, connections, clock, metrics, std::move(exit_now))) {}

ClusterOperator::~ClusterOperator() = default;

Status ClusterOperator::Run(const std::stop_token& stop) { return impl_->op.Run(stop); }

}  // namespace backfill::app
