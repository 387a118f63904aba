// Copies ConfigMaps with the label `copy`, where the kubeconfig points to. Until SIGINT or SIGTERM.
#include <csignal>
#include <iostream>

#include "operator/kube/cache/informer.h"
#include "operator/kube/client/kube_config.h"
#include "operator/kube/client/rest_transport.h"
#include "operator/kube/example/copier.h"
#include "operator/kube/runtime/controller.h"
#include "operator/kube/runtime/enqueue.h"
#include "operator/kube/runtime/host.h"

using namespace backfill;
using namespace backfill::kube;

Status Run() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // before there is a second thread
  StartHttpThreads(4);

  SystemClock clock;
  NoMetrics metrics;
  const ClusterAccess access = TRY(LoadKubeConfig(DefaultKubeConfig(ProcessEnvironment())));
  const auto credentials = MakeCredentials(access, clock);
  const RestOptions options = OptionsFor(access, {.user_agent = "copier"});
  const auto calls = TRY(RestTransport::Make(options, credentials, clock));
  const auto watches = TRY(RestTransport::Make(options, credentials, clock));

  ObjectCache config_maps;
  Caches caches;
  caches.Add(example::kConfigMaps.type, config_maps);
  RateLimiter limiter({}, clock);
  const ApiClient api(*calls, &limiter, {.field_manager = "copier"});
  example::Copier copier(api, config_maps);
  Controller controller({.name = "copier"}, copier, caches, clock, metrics);
  EnqueueObject originals(controller.queue(), controller.guard());
  EnqueueOwner copies(controller.queue(), controller.guard(), example::kConfigMaps.type,
                      example::kConfigMaps.type);
  config_maps.AddListener(&originals);
  config_maps.AddListener(&copies);
  Informer informer(*watches, clock, example::kConfigMaps, config_maps, {});

  Host host({.waits_for_leadership = false}, clock, [](const std::string&) { std::_Exit(1); });
  host.Add({"watch", Stage::kWatches, [&] { return informer.Start(), Status(Ok{}); },
            [&](Time) { informer.Stop(); }});
  host.Add({"copier", Stage::kControllers, [&] { return controller.Start(), Status(Ok{}); },
            [&](Time) { controller.Stop(); }, [&](Time) { controller.Tick(); }});
  std::stop_source stop;
  std::jthread on_signal([&] {
    int signal = 0;
    sigwait(&signals, &signal);
    stop.request_stop();
  });
  const Status ended = host.Run(stop.get_token());
  pthread_kill(on_signal.native_handle(), SIGTERM);  // in case it still waits for one
  return ended;
}

int main() {
  const Status ended = Run();
  if (!ended.ok()) std::cerr << "copier: " << ended.error().message << "\n";
  return ended.ok() ? 0 : 1;
}
