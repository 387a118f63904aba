#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cli/cluster.h"
#include "operator/kube/api_store.h"
#include "operator/report/run_report.h"
#include "tests/cli/command_fixture.h"
#include "tests/cli/written_ledger.h"
#include "tests/fakes/crd_schema.h"
#include "tests/fakes/fake_api_server.h"

namespace backfill::cli {

// Runs whole commands, under the name of the plugin, against an API server in this process. Time is
// the system's: who waits does so on the server's word, never for a while.
class ClusterFixture : public CommandFixture {
 protected:
  static constexpr char kServer[] = "https://cluster.example:6443";

  ClusterFixture() {
    server_.UseSchema("backfills", fakes::BackfillSchema());
    env_.called_as = CalledAs::kKubectlPlugin;
    env_.connect = [this](const ClusterChoice& choice) -> Result<Connection> {
      chosen_ = choice;
      if (connect_error_) return *connect_error_;
      Connection connection;
      connection.facts = facts_;
      connection.calls = std::make_unique<Forwarding>(server_);
      connection.watches = std::make_unique<Forwarding>(server_);
      return connection;
    };
  }

  // The command as it stands behind "kubectl backfill".
  int Plugin(const std::vector<std::string>& arguments) {
    out_.str("");
    err_.str("");
    return RunCommandLine(arguments, env_);
  }

  // As the operator has it: the object is there, with a status that speaks of it.
  void Declare(api::Backfill backfill) {
    const api::Status status = backfill.status;
    api::Backfill created =
        Must(api::FromObject(Must(cluster_.Create(api::ToObject(backfill), kPower))));
    SetStatus(created, status);
  }
  // Of the generation that is there now.
  void SetStatus(api::Backfill backfill, api::Status status) {
    status.observed_generation = backfill.generation;
    for (api::Condition& c : status.conditions) c.observed_generation = backfill.generation;
    backfill.status = std::move(status);
    Must(cluster_.UpdateStatus(api::ToObject(backfill), kPower));
  }
  void SetStatusOf(const std::string& name, const api::Status& status) {
    SetStatus(OnServer(name), status);
  }
  api::Backfill OnServer(const std::string& name = "reprice", const std::string& ns = "shop") {
    return Must(api::FromObject(Must(cluster_.Get({"Backfill", ns, name}))));
  }
  // The file's backfill in the namespace of the context, in that phase.
  api::Backfill InShop(api::Phase phase, const std::string& name = "reprice") {
    api::Backfill b = FileIn(phase);
    b.ns = "shop";
    b.name = name;
    b.spec.perform_disruptive_backfill = b.spec.dry_run ? "" : name;
    return b;
  }

  reconcile::StageKey RunOf(const api::Backfill& b) {
    return {.ns = b.ns, .name = b.name, .uid = b.uid, .stage = reconcile::Stage::kRun};
  }
  void WriteLedger(const std::string& name, int shards) {
    const Status written = WriteLedgerOfRun(cluster_, RunOf(OnServer(name)), PlanOfTens(shards),
                                            /*failed_key=*/"7\x1b[2J");
    ASSERT_TRUE(written.ok()) << written.error().message;
  }

  template <typename T>
  static T Must(Result<T> result) {
    if (!result.ok()) {
      ADD_FAILURE() << result.error().message;
      std::abort();
    }
    return std::move(result).value();
  }

  static constexpr kube::Durability kPower = kube::Durability::kPower;
  fakes::FakeApiServer server_{static_cast<const Clock&>(clock_),
                               fakes::FakeApiServer::Options{.collect_at_once = true}};
  kube::ApiStore cluster_{server_, server_, clock_, {}};
  ClusterFacts facts_{.server = kServer, .context = "dev", .ns = "shop"};
  std::optional<Error> connect_error_;
  std::optional<ClusterChoice> chosen_;

 private:
  class Forwarding final : public kube::HttpTransport {
   public:
    explicit Forwarding(kube::HttpTransport& to) : to_(to) {}
    Result<kube::HttpResponse> Send(const kube::HttpRequest& request, Time deadline,
                                    std::stop_token stop) override {
      return to_.Send(request, deadline, std::move(stop));
    }
    Result<kube::HttpResponse> Stream(
        const kube::HttpRequest& request, const kube::StreamLimits& limits, std::stop_token stop,
        const std::function<bool(std::string_view)>& on_line) override {
      return to_.Stream(request, limits, std::move(stop), on_line);
    }

   private:
    kube::HttpTransport& to_;
  };
};

}  // namespace backfill::cli
