#include "operator/kube/runtime/operator.h"

#include <cstdlib>
#include <random>
#include <utility>

#include "base/log.h"
#include "operator/kube/runtime/event_api.h"

namespace backfill::kube {
namespace {

using namespace std::chrono_literals;

constexpr Duration kLongestTick = 30s;  // of the main loop, which comes round each second

InformerOptions InformerOptionsOf(const FollowOptions& follow, const OperatorOptions& options) {
  return {.selection = follow.selection,
          .watcher = follow.watcher,
          .seed = options.seed ? *options.seed : std::random_device()(),
          .wait = options.wait};
}

Host::Options HostOptionsOf(const OperatorOptions& options) {
  Host::Options host = options.host;
  host.waits_for_leadership = options.leadership.has_value();
  return host;
}

}  // namespace

void OperatorOptions::ExitNow(const std::string& reason) {
  Log(LogLevel::kError, "exiting at once", {{"reason", reason}});
  std::_Exit(1);
}

FollowedKind::FollowedKind(HttpTransport& watches, const Clock& clock, const Resource& resource,
                           std::vector<CacheIndex> indexes, InformerOptions options)
    : cache_(std::move(indexes)), informer_(watches, clock, resource, cache_, std::move(options)) {}

ControllerSetup::ControllerSetup(ControllerOptions options, FollowedKind& kind,
                                 Reconciler& reconciler, const CacheView& caches,
                                 const Clock& clock, MetricRegistry& metrics)
    : type_(kind.type()),
      controller_(std::move(options), reconciler, caches, clock, metrics),
      objects_(controller_.queue(), controller_.guard()) {
  kind.AddListener(objects_);
}

ControllerSetup& ControllerSetup::Owns(FollowedKind& child, Duration merge) {
  return Listen(child, std::make_unique<EnqueueOwner>(controller_.queue(), controller_.guard(),
                                                      child.type(), type_, merge));
}

ControllerSetup& ControllerSetup::Watches(FollowedKind& other, EnqueueMapped::Map map,
                                          Duration merge) {
  return Listen(other, std::make_unique<EnqueueMapped>(controller_.queue(), std::move(map), merge));
}

ControllerSetup& ControllerSetup::Listen(FollowedKind& kind,
                                         std::unique_ptr<CacheListener> listener) {
  others_.push_back(std::move(listener));
  kind.AddListener(*others_.back());
  return *this;
}

struct Operator::Recorder {
  Recorder(HttpTransport& transport, std::string controller, std::string instance,
           const Clock& clock, MetricRegistry& metrics)
      : sink(transport, std::move(controller), std::move(instance)),
        recorder({}, sink, clock, metrics) {}
  HttpEventSink sink;
  EventRecorder recorder;
};

Operator::Operator(HttpTransport& watches, const Clock& clock, MetricRegistry& metrics,
                   OperatorOptions options)
    : watches_(watches),
      clock_(clock),
      metrics_(metrics),
      options_(std::move(options)),
      host_(HostOptionsOf(options_), clock, options_.exit_now) {
  alive_.Add("loop",
             [this](Time now) { return LoopProblem(host_.last_tick(), now, kLongestTick); });
  ready_.Add("caches", [this](Time) {
    return std::string(caches_.HasSynced() ? "" : "not all that is followed has been listed yet");
  });
  if (options_.leadership) Elect(*options_.leadership);
}

Operator::~Operator() = default;

void Operator::Elect(const Leadership& leadership) {
  lease_ = std::make_unique<HttpLeaseApi>(leadership.transport, leadership.ns, leadership.name);
  election_ = std::make_unique<LeaderElection>(leadership.election, leadership.name, *lease_,
                                               clock_, host_, metrics_);
  alive_.Add("lease", [this](Time now) {
    return LeaseProblem(election_->epoch().has_value(), election_->ValidUntil(), now);
  });
  host_.Add({.name = "election",
             .stage = Stage::kLease,
             .start = [this] { return election_->Start(), Status(Ok{}); },
             .stop = [this](Time) { election_->Stop(); }});
}

FollowedKind& Operator::Follow(const Resource& resource, const FollowOptions& options) {
  FollowedKind& kind = kinds_.emplace_back(watches_, clock_, resource, options.indexes,
                                           InformerOptionsOf(options, options_));
  caches_.Add(resource.type, kind.cache(), options.selection.ns);
  host_.Add({.name = "watch-" + std::string(resource.type.plural),
             .stage = Stage::kWatches,
             .start = [&kind] { return kind.informer_.Start(), Status(Ok{}); },
             .stop = [&kind](Time) { kind.informer_.Stop(); }});
  return kind;
}

ControllerSetup& Operator::Control(FollowedKind& kind, Reconciler& reconciler,
                                   ControllerOptions options) {
  if (options.name.empty()) options.name = kind.type().plural;
  if (!options.may_act && election_ != nullptr) {
    options.may_act = [this](Time now) { return election_->IsLeaderAt(now); };
  }
  if (!options.add_all) {
    options.add_all = [&kind](WorkQueue& queue) {
      for (const ApiObjectPtr& object : kind.cache().List())
        queue.Add(object->meta.key(), Priority::kLow);
    };
  }
  ControllerSetup& setup =
      controllers_.emplace_back(std::move(options), kind, reconciler, caches_, clock_, metrics_);
  Controller& controller = setup.controller();
  alive_.Add("reconcile-" + controller.name(),
             [&controller](Time) { return ReconcileProblem(controller.LongestReconcile()); });
  host_.Add({.name = controller.name(),
             .stage = Stage::kControllers,
             .start = [&controller] { return controller.Start(), Status(Ok{}); },
             .stop = [&controller](Time) { controller.Stop(); },
             .tick = [&controller](Time) { controller.Tick(); }});
  return setup;
}

EventRecorder& Operator::RecordEvents(HttpTransport& transport, std::string controller,
                                      std::string instance) {
  EventRecorder& recorder =
      recorders_
          .emplace_back(transport, std::move(controller), std::move(instance), clock_, metrics_)
          .recorder;
  host_.Add({.name = "events",
             .stage = Stage::kHttp,
             .start = [&recorder] { return recorder.Start(), Status(Ok{}); },
             .stop = [&recorder](Time) { recorder.Stop(); }});
  return recorder;
}

}  // namespace backfill::kube
