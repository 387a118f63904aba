// A coordinator with one open stage over a range, as an operator has it: for measurements. What is
// different from an operator: workers show one shared token, all of them may come from one address,
// and the stage is opened and told its rate by lines on standard input instead of a Backfill.
//
//   rate R    from now on R records/s        answers: rate at=NANOSECONDS (steady clock, before)
//   pause     nothing is sent any more       answers: paused at=..
//   state     where the stage stands         answers: state name=value ..
//   memory    what the allocator has given out   answers: memory in_use=BYTES kept=BYTES
//   close     writes everything, ends        answers: closed name=value ..
#include <fmt/format.h>
#include <malloc.h>
#include <CLI/CLI.hpp>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>

#include "base/log.h"
#include "operator/coordinator/coordinator.h"
#include "operator/coordinator/ledger_store.h"
#include "operator/coordinator/server_certificates.h"
#include "operator/kube/api_store.h"
#include "operator/kube/client/kube_config.h"
#include "operator/kube/client/rest_transport.h"
#include "operator/kube/sqlite_store.h"

namespace backfill::scale {
namespace {

using namespace std::chrono_literals;

struct Settings {
  std::string listen, unix_socket, certificate, key, token;
  std::string sqlite, ns = "scale", name = "scale";
  int shards = 1000;
  std::int64_t records = 100;  // of a shard
  int batch = 10;
  std::size_t connections = 100'000;
  double messages_per_second = 500;
  double ttl = 60;  // of leases, in seconds
};

std::string ReadFile(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

class OneCertificate final : public coordinator::ServerCertificates {
 public:
  OneCertificate(const std::string& chain, const std::string& key)
      : shown_(std::make_shared<const coordinator::ServerCertificate>(
            coordinator::ServerCertificate{.chain = ReadFile(chain), .key = ReadFile(key)})) {}
  [[nodiscard]] std::shared_ptr<const coordinator::ServerCertificate> Current() const override {
    return shown_;
  }

 private:
  const std::shared_ptr<const coordinator::ServerCertificate> shown_;
};

// The API server of $KUBECONFIG, where the ledger's owner must exist, or a file.
struct Storage {
  static Result<Storage> Open(const Settings& settings, const Clock& clock) {
    Storage out;
    if (!settings.sqlite.empty()) {
      out.store = TRY(kube::SqliteStore::Open(settings.sqlite));
      return out;
    }
    const char* kubeconfig = std::getenv("KUBECONFIG");  // NOLINT(concurrency-mt-unsafe)
    if (kubeconfig == nullptr) return Error{ErrorCode::kInvalid, "KUBECONFIG is not set"};
    const kube::ClusterAccess access = TRY(kube::LoadKubeConfig({.files = {kubeconfig}}));
    out.transport = TRY(kube::RestTransport::Make(kube::OptionsFor(access, {.user_agent = "scale"}),
                                                  kube::MakeCredentials(access, clock), clock));
    out.store = std::make_unique<kube::ApiStore>(*out.transport, *out.transport, clock,
                                                 kube::ApiStore::Options{.ns = settings.ns});
    return out;
  }
  std::unique_ptr<kube::RestTransport> transport;
  std::unique_ptr<kube::ObjectStore> store;
};

// Between half and one and a half of the mean, so that workers do not stay in step.
std::int64_t SizeOf(std::int64_t shard, std::int64_t mean) {
  const auto mixed = static_cast<std::uint64_t>(shard + 1) * 0x9E3779B97F4A7C15ULL;
  return std::max<std::int64_t>(
      1,
      mean / 2 + static_cast<std::int64_t>((mixed >> 33) % static_cast<std::uint64_t>(mean + 1)));
}

plan::Plan PlanOf(const Settings& s) {
  plan::Plan plan;
  plan.shards.reserve(static_cast<std::size_t>(s.shards));
  Position begin = 0;
  for (std::int64_t i = 0; i < s.shards; ++i) {
    const Position end = begin + SizeOf(i, s.records);
    plan.shards.push_back({Range{begin, end}, static_cast<std::uint64_t>(end - begin)});
    begin = end;
  }
  plan.records = static_cast<std::uint64_t>(begin);
  plan.hash = plan::PlanHash("scale", plan.shards);
  return plan;
}

coordinator::CoordinatorOptions OptionsOf(const Settings& s,
                                          const coordinator::ServerCertificates* certificates) {
  coordinator::CoordinatorOptions options;
  // As on a cluster.
  options.stage.cursor_flush = 5s;
  options.stage.waited_flush = 200ms;
  options.stage.reserve_ahead = 2s;
  options.stage.messages_per_second = s.messages_per_second;
  if (s.ttl < 60) {
    const auto ttl = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(s.ttl));
    options.stage.min_ttl = ttl;
    options.stage.fence = ttl * 2 / 3;
    options.stage.wire_margin = ttl / 6;
    options.stage.recovery_margin = ttl / 6;
  }
  options.server.token = s.token;
  options.server.listen = s.listen;
  options.server.unix_socket = s.unix_socket;
  options.server.certificates = s.listen.empty() ? nullptr : certificates;
  options.server.peers.streams = 100'000;
  options.server.peers.burst = 100'000;
  options.server.network.connections.of_an_address = s.connections;
  return options;
}

std::string StateLine(const reconcile::StageSnapshot& s) {
  return fmt::format(
      "state shards={} pending={} in_flight={} done={} records={} failed={} redone={} "
      "connected={} sessions={} expired={} frozen={} error={}",
      s.totals.shards, s.totals.shards_pending, s.totals.shards_in_flight, s.totals.shards_done,
      s.totals.counts.total(), s.totals.counts.failed, s.totals.redone_at_most, s.connected,
      s.sessions, s.lease_expirations, s.frozen_shards,
      s.error ? static_cast<int>(s.error->code) : -1);
}

// What stands in the store in the end, read anew.
Result<std::string> ClosedLine(kube::ObjectStore& store, const reconcile::StageKey& key,
                               coordinator::Coordinator& host) {
  const std::vector<ledger::Shard> shards = TRY(coordinator::ReadShards(store, key));
  std::size_t done = 0;
  std::uint64_t records = 0, failed = 0;
  std::uint32_t attempts = 0;
  std::vector<Range> ranges;
  for (const ledger::Shard& shard : shards) {
    done += shard.state == ledger::ShardState::kDone ? 1 : 0;
    records += shard.counts.total();
    failed += shard.counts.failed;
    attempts = std::max(attempts, shard.attempt.value);
    ranges.push_back(shard.range);
  }
  std::sort(ranges.begin(), ranges.end(),
            [](const Range& a, const Range& b) { return a.begin < b.begin; });
  std::size_t gaps = 0;
  for (std::size_t i = 1; i < ranges.size(); ++i) {
    gaps += ranges[i].begin != ranges[i - 1].end ? 1 : 0;
  }
  const auto listed = TRY(host.ReadFailures(key));
  return fmt::format("closed shards={} done={} records={} failed={} listed={} gaps={} attempts={}",
                     shards.size(), done, records, failed, listed.size(), gaps, attempts);
}

Status Serve(const Settings& settings) {
  const SystemClock clock;
  const coordinator::SoleLeader leadership;
  const OneCertificate certificate(settings.certificate, settings.key);
  Storage storage = TRY(Storage::Open(settings, clock));

  api::Backfill backfill;
  backfill.ns = settings.ns;
  backfill.name = settings.name;
  backfill.uid = "5ca1ab1e-0000";
  if (settings.sqlite.empty()) {
    backfill.uid =
        TRY(storage.store->Get({std::string(kube::kBackfillKind), settings.ns, settings.name})).uid;
  }
  const plan::Plan plan = PlanOf(settings);
  backfill.spec.source =
      api::RangeSource{.start = 0, .end = static_cast<std::int64_t>(plan.records)};
  backfill.spec.target.url = "http://target/{{key}}";
  backfill.spec.target.timeout = settings.ttl < 60 ? 100ms : 5000ms;
  backfill.spec.workers.batch_size = settings.batch;
  const reconcile::StageKey key = reconcile::KeyOf(backfill, reconcile::Stage::kRun);

  coordinator::Coordinator host(*storage.store, clock, leadership,
                                OptionsOf(settings, &certificate));
  TRY(host.Start());
  const auto existing = host.ReadLedger(key);
  if (!existing.ok() && existing.error().code != ErrorCode::kNotFound) return existing.error();
  if (!existing.ok()) TRY(host.CreateLedger(key, plan));
  TRY(host.Open(backfill, key));
  std::cout << fmt::format("serving address={} uid={} records={}", host.address(), backfill.uid,
                           plan.records)
            << std::endl;

  const auto at = [&clock] { return clock.Steady().time_since_epoch().count(); };
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string command;
    double rate = 0;
    words >> command >> rate;
    if (command == "rate" || command == "pause") {
      const auto before = at();
      host.Configure(key, {.paused = command == "pause", .records_per_second = rate});
      std::cout << fmt::format("{} at={}", command, before) << std::endl;
    } else if (command == "state") {
      const auto snapshot = host.Snapshot(key);
      std::cout << (snapshot ? StateLine(*snapshot) : "state") << std::endl;
    } else if (command == "memory") {
      // Of the allocator: what is in use, and what it keeps.
      const auto of = mallinfo2();
      std::cout << fmt::format("memory in_use={} kept={}", of.uordblks + of.hblkhd, of.fordblks)
                << std::endl;
    } else if (command == "close") {
      TRY(host.Close(key));
      std::cout << TRY(ClosedLine(*storage.store, key, host)) << std::endl;
      return Ok{};
    }
  }
  return Ok{};
}

}  // namespace
}  // namespace backfill::scale

int main(int argc, char** argv) {
  using namespace backfill;
  std::signal(SIGPIPE, SIG_IGN);
  SetLogLevel(LogLevel::kError);
  scale::Settings s;
  CLI::App app("A coordinator with one open stage, for measurements.");
  app.add_option("--listen", s.listen, "with TLS");
  app.add_option("--unix", s.unix_socket, "instead");
  app.add_option("--certificate", s.certificate);
  app.add_option("--key", s.key);
  app.add_option("--token", s.token)->required();
  app.add_option("--sqlite", s.sqlite, "the ledger's file; without: the API server of $KUBECONFIG");
  app.add_option("--namespace", s.ns);
  app.add_option("--name", s.name);
  app.add_option("--shards", s.shards);
  app.add_option("--records", s.records, "of a shard");
  app.add_option("--batch", s.batch);
  app.add_option("--connections", s.connections, "at most, of one address");
  app.add_option("--messages-per-second", s.messages_per_second);
  app.add_option("--ttl", s.ttl, "of leases, in seconds");
  CLI11_PARSE(app, argc, argv);
  const Status served = scale::Serve(s);
  if (served.ok()) return 0;
  std::cerr << served.error().message << std::endl;
  return 1;
}
