#include "bench/scale/scale_run.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <thread>

#include "bench/scale/coordinator_process.h"
#include "bench/scale/fleet.h"
#include "bench/scale/referee.h"
#include "tests/worker/target/certificates.h"

namespace backfill::scale {
namespace {

constexpr Duration kGrantTtl = 30s;
constexpr Duration kLook = 100ms;
constexpr Duration kSayEvery = 5s;
constexpr Duration kRateSettles = 2s;

Time Now() { return std::chrono::steady_clock::now(); }
double Seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

// That is free now; the coordinator takes it in a moment, and again after the kill.
int FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof a;
  if (bind(fd, reinterpret_cast<sockaddr*>(&a), size) != 0 ||        // NOLINT
      getsockname(fd, reinterpret_cast<sockaddr*>(&a), &size) != 0)  // NOLINT
    std::abort();
  close(fd);
  return ntohs(a.sin_port);
}

// One run, step by step.
class Run {
 public:
  explicit Run(const RunOptions& options) : options_(options), deadline_(Now() + options.give_up) {}

  Result<TalkReport> Talk(const std::string& peer, Duration for_so_long) {
    PrepareAddress(peer);
    TRY(StartCoordinator());
    std::this_thread::sleep_for(500ms);
    const double idle_kib = CostOf(coordinator_->pid()).rss_kib;
    StartFleet();
    double ignored = 0;
    TRY(AllConnected(ignored));
    std::this_thread::sleep_for(options_.warm_up);
    const auto messages = [this] {
      const FleetFigures figures = fleet_->state().figures;
      return static_cast<double>(figures.sent + figures.received);
    };
    const double messages_before = messages();
    const double cpu_before = CostOf(coordinator_->pid()).cpu_seconds;
    const Time since = Now();
    std::this_thread::sleep_for(for_so_long);
    const double exchanged = messages() - messages_before;
    const ProcessCost cost = CostOf(coordinator_->pid());
    const double seconds = Seconds(Now() - since);
    fleet_->Stop();
    return TalkReport{.kib_a_stream = (cost.rss_kib - idle_kib) / options_.workers,
                      .cpu_us_a_message = 1e6 * (cost.cpu_seconds - cpu_before) / exchanged,
                      .messages_per_second = exchanged / seconds};
  }

  Result<RunReport> Go() {
    PrepareAddress();
    TRY(StartCoordinator());
    std::this_thread::sleep_for(500ms);
    report_.rss_idle_kib = CostOf(coordinator_->pid()).rss_kib;
    report_.in_use_idle_kib = TRY(InUseKib());
    StartFleet();
    TRY(AllConnected(report_.connect_seconds));
    report_.rss_connected_kib = CostOf(coordinator_->pid()).rss_kib;
    report_.in_use_kib = TRY(InUseKib());
    TRY(SetRate(options_.rate));
    begun_ = Now();
    TRY(Work());
    report_.seconds = Seconds(Now() - begun_);
    TRY(End());
    return std::move(report_);
  }

 private:
  void PrepareAddress(const std::string& peer = "") {
    if (options_.tls) MakeCertificates();
    if (!peer.empty()) {
      const Duration period = std::chrono::duration_cast<Duration>(
          std::chrono::duration<double>(options_.workers / options_.messages_per_second));
      args_ = {peer, "-period", fmt::format("{}ms", period / 1ms)};
      if (options_.tls)
        args_.insert(args_.end(), {"-cert", options_.dir / "crt", "-key", options_.dir / "key"});
      return;
    }
    args_ = {options_.coordinator,
             "--token",
             "scale",
             "--shards",
             std::to_string(options_.shards),
             "--records",
             std::to_string(options_.records),
             "--batch",
             std::to_string(options_.batch),
             "--messages-per-second",
             fmt::format("{}", options_.messages_per_second),
             "--ttl",
             fmt::format("{}", options_.ttl)};
    const auto add = [this](const std::string& name, const std::string& value) {
      args_.push_back(name);
      args_.push_back(value);
    };
    if (!options_.api_server) add("--sqlite", options_.dir / "ledger.db");
    if (!options_.tls) return add("--unix", options_.dir / "socket" / "c");
    add("--listen", fmt::format("127.0.0.1:{}", FreePort()));
    add("--certificate", options_.dir / "crt");
    add("--key", options_.dir / "key");
  }

  void MakeCertificates() {
    const fakes::Authority authority;
    authority.Issue("IP:127.0.0.1").WriteTo(options_.dir / "crt", options_.dir / "key");
    authority.WriteTo(options_.dir / "ca");
    std::ifstream ca(options_.dir / "ca");
    authorities_.assign(std::istreambuf_iterator<char>(ca), {});
  }

  Status StartCoordinator() {
    coordinator_ = std::make_unique<CoordinatorProcess>(args_);
    const auto serving = TRY(coordinator_->Read());
    address_ = serving.at("address");
    uid_ = serving.at("uid");
    if (serving.contains("records")) records_ = std::stoll(serving.at("records"));
    if (!referee_) referee_ = std::make_unique<Referee>(records_);
    return Ok{};
  }

  Result<double> InUseKib() {
    return std::stod(TRY(coordinator_->Ask("memory")).at("in_use")) / 1024;
  }

  void StartFleet() {
    FleetOptions fleet;
    fleet.address = address_;
    fleet.token = "scale";
    fleet.authorities = authorities_;
    fleet.uid = uid_;
    fleet.workers = options_.workers;
    fleet_ = std::make_unique<Fleet>(fleet, *referee_);
    fleet_->Start();
  }

  Status AllConnected(double& seconds) {
    const Time since = Now();
    while (true) {
      const Fleet::State state = fleet_->state();
      if (state.welcomed >= options_.workers) break;
      if (Now() > deadline_) return TooLong("not all workers have a stream");
      Say([&] { return fmt::format("{} workers have a stream", state.welcomed); });
      std::this_thread::sleep_for(10ms);
    }
    seconds = Seconds(Now() - since);
    return Ok{};
  }

  Result<Time> SetRate(double rate) {
    fleet_->Ask([&] { referee_->OnRate(rate, Now(), kGrantTtl); });
    const auto answer = TRY(coordinator_->Ask(fmt::format("rate {}", rate)));
    rate_ = rate;
    return Time(Duration(std::stoll(answer.at("at"))));
  }

  // Until every worker was told that there is no more work.
  Status Work() {
    Time measure_at = begun_ + options_.warm_up;
    Time change_at = measure_at + options_.change_rate_every;
    bool killed = !options_.kill;
    while (true) {
      std::this_thread::sleep_for(kLook);
      const Time now = Now();
      if (now > deadline_) return TooLong("there is work left");
      const Fleet::State state = fleet_->state();
      if (state.given_up > 0) return Error{ErrorCode::kInternal, "a worker has given up"};
      if (state.ended == options_.workers) break;
      const auto stands = TRY(coordinator_->Ask("state"));
      const auto done = std::stoll(stands.at("done"));
      Say([&] {
        const ProcessCost cost = CostOf(coordinator_->pid());
        return fmt::format("{} shards done, {} pending; coordinator {:.1f} CPU s, {:.0f} MiB", done,
                           stands.at("pending"), cost.cpu_seconds, cost.rss_kib / 1024);
      });
      if (!killed && 2 * done >= options_.shards) {
        Pause(state);
        killed = true;
        TRY(KillAndStartAgain());
        measure_at = Now() + options_.warm_up;
        // Until its predecessor's grants have expired a new leader leaves workers what they had.
        change_at = Now() + kGrantTtl + options_.change_rate_every;
        continue;
      }
      // The tail: there may be less work than workers.
      const bool plenty = std::stoll(stands.at("pending")) > 3LL * options_.workers;
      if (measuring_ && !plenty) Pause(state);
      if (!measuring_ && plenty && now >= measure_at) Measure(state);
      if (measuring_ && options_.change_rate_every > Duration::zero() && now >= change_at) {
        TRY(ChangeRate());
        change_at = Now() + options_.change_rate_every;
      }
    }
    if (measuring_) Pause(fleet_->state());
    if (!killed) Complain("the coordinator was never killed: all was done before");
    return Ok{};
  }

  void Measure(const Fleet::State& state) {
    measuring_ = true;
    measured_since_ = Now();
    messages_then_ = state.figures.sent + state.figures.received;
    cpu_then_ = CostOf(coordinator_->pid()).cpu_seconds;
    fleet_->Measure(true);
  }

  void Pause(const Fleet::State& state) {
    if (!std::exchange(measuring_, false)) return;
    fleet_->Measure(false);
    measured_seconds_ += Seconds(Now() - measured_since_);
    measured_messages_ += state.figures.sent + state.figures.received - messages_then_;
    measured_cpu_ += CostOf(coordinator_->pid()).cpu_seconds - cpu_then_;
    const ProcessCost cost = CostOf(coordinator_->pid());
    report_.rss_connected_kib = cost.rss_kib;
  }

  Status ChangeRate() {
    fleet_->WatchGrants();
    const Time at = TRY(SetRate(rate_ < options_.rate ? options_.rate : options_.rate * 2 / 3));
    std::this_thread::sleep_for(kRateSettles);
    const Fleet::Told told = fleet_->ToldAnotherRate(at);
    report_.rate_ms.Add(told.ms);
    report_.rate_all_ms.Add(told.ms.Max());
    report_.rate_missing += told.missing;
    return Ok{};
  }

  void NoteCost() {
    const ProcessCost cost = CostOf(coordinator_->pid());
    report_.cpu_seconds += cost.cpu_seconds;
    report_.peak_kib = std::max(report_.peak_kib, cost.peak_kib);
  }

  Status KillAndStartAgain() {
    NoteCost();
    const Time at = Now();
    coordinator_->Kill();
    fleet_->ForgetLeases();
    TRY(StartCoordinator());
    report_.serving_ms = Millis(Now() - at);
    TRY(SetRate(rate_));
    double ignored = 0;
    TRY(AllConnected(ignored));
    report_.all_back_ms = Millis(Now() - at);
    std::optional<Time> first;
    while (!first) {
      if (Now() > deadline_) return TooLong("there was no lease after the kill");
      std::this_thread::sleep_for(10ms);
      first = fleet_->state().figures.first_lease;
    }
    report_.first_lease_ms = Millis(*first - at);
    return Ok{};
  }

  Status End() {
    const auto last = TRY(coordinator_->Ask("state"));
    report_.redone_at_most = std::stoull(last.at("redone"));
    NoteCost();
    const Fleet::State state = fleet_->state();
    fleet_->Stop();
    const auto closed = TRY(coordinator_->Ask("close"));
    report_.messages = state.figures.sent + state.figures.received;
    report_.ask_ms = state.figures.ask_ms;
    report_.fleet_cpu_seconds = CostOf(getpid()).cpu_seconds;
    if (measured_seconds_ > 0) report_.steady_cpu = measured_cpu_ / measured_seconds_;
    if (measured_messages_ > 0)
      report_.cpu_us_a_message = 1e6 * measured_cpu_ / static_cast<double>(measured_messages_);
    report_.leases = referee_->leases();
    report_.records_sent = referee_->sent();
    report_.sent_again = referee_->sent_again();
    Judge(closed);
    return Ok{};
  }

  // Every few seconds.
  void Say(const std::function<std::string()>& what) {
    if (!options_.progress || Now() - said_ < kSayEvery) return;
    said_ = Now();
    options_.progress(what());
  }

  void Complain(std::string what) { report_.broken.push_back(std::move(what)); }

  void Judge(const CoordinatorProcess::Answer& closed) {
    const auto is = [&](const std::string& name, std::int64_t expected) {
      const std::int64_t found = std::stoll(closed.at(name));
      if (found != expected) Complain(fmt::format("{} is {}, not {}", name, found, expected));
    };
    const std::int64_t failing = (records_ + 996) / 997;
    is("done", std::stoll(closed.at("shards")));
    is("records", records_);
    is("failed", failing);
    is("listed", failing);
    is("gaps", 0);
    report_.records = records_;
    if (const auto missing = referee_->NeverSent(); missing > 0)
      Complain(fmt::format("{} records were never sent", missing));
    if (report_.sent_again > report_.redone_at_most)
      Complain(fmt::format("{} records were sent again, {} were foreseen", report_.sent_again,
                           report_.redone_at_most));
    for (const std::string& complaint : referee_->complaints()) Complain(complaint);
  }

  Error TooLong(const std::string& what) {
    std::string endings;
    for (const auto& [why, n] : fleet_->state().figures.endings)
      endings += fmt::format("; {} streams ended: {}", n, why);
    return {ErrorCode::kDeadline,
            fmt::format("after {:.0f} s {}{}", Seconds(options_.give_up), what, endings)};
  }

  const RunOptions options_;
  std::int64_t records_ = 0;
  std::unique_ptr<Referee> referee_;
  const Time deadline_;
  RunReport report_;
  std::vector<std::string> args_;
  std::string address_, authorities_, uid_;
  std::unique_ptr<CoordinatorProcess> coordinator_;
  std::unique_ptr<Fleet> fleet_;
  Time begun_{}, said_{};
  double rate_ = 0;

  bool measuring_ = false;
  Time measured_since_{};
  std::uint64_t messages_then_ = 0, measured_messages_ = 0;
  double cpu_then_ = 0, measured_cpu_ = 0, measured_seconds_ = 0;
};

}  // namespace

Result<RunReport> RunScale(const RunOptions& options) { return Run(options).Go(); }

Result<TalkReport> RunTalk(const RunOptions& options, const std::string& peer,
                           Duration for_so_long) {
  return Run(options).Talk(peer, for_so_long);
}

std::string RunReport::ToText(const RunOptions& o) const {
  std::string out;
  const auto line = [&out](std::string_view name, const std::string& value) {
    out += fmt::format("{:<44}{}\n", name, value);
  };
  const auto spread = [](const Samples& s) {
    return fmt::format("p50 {:.1f}  p99 {:.1f}  max {:.1f}  ({} times)", s.Quantile(0.5),
                       s.Quantile(0.99), s.Max(), s.size());
  };
  line("workers, shards, records",
       fmt::format("{}, {}, {}, {}, ledger {}", o.workers, o.shards, records,
                   o.tls ? "TLS" : "no TLS", o.api_server ? "on an API server" : "in SQLite"));
  line("from the first lease to the end, s", fmt::format("{:.1f}", seconds));
  line("asked for work until a lease, ms", spread(ask_ms));
  line("a new rate until each worker has it, ms", spread(rate_ms));
  line("a new rate until all have it, ms", spread(rate_all_ms));
  if (rate_missing > 0) line("not told within 2 s", std::to_string(rate_missing));
  line("all workers connected after, s", fmt::format("{:.1f}", connect_seconds));
  if (o.kill) {
    line("after the kill: listens again, ms", fmt::format("{:.0f}", serving_ms));
    line("after the kill: first lease, ms", fmt::format("{:.0f}", first_lease_ms));
    line("after the kill: all workers back, ms", fmt::format("{:.0f}", all_back_ms));
  }
  line("coordinator, MiB: without workers, with",
       fmt::format("{:.0f}, {:.0f}, at most {:.0f}", rss_idle_kib / 1024, rss_connected_kib / 1024,
                   peak_kib / 1024));
  line("coordinator, KiB a stream: resident, in use",
       fmt::format("{:.1f}, {:.1f}", (rss_connected_kib - rss_idle_kib) / o.workers,
                   (in_use_kib - in_use_idle_kib) / o.workers));
  line("coordinator, CPU s",
       fmt::format("{:.1f}, {:.2f} a second while measured", cpu_seconds, steady_cpu));
  line("coordinator, CPU us a message", fmt::format("{:.0f}", cpu_us_a_message));
  line("workers, CPU s", fmt::format("{:.1f}", fleet_cpu_seconds));
  line("messages, leases", fmt::format("{}, {}", messages, leases));
  line("records sent, again, at most",
       fmt::format("{}, {}, {}", records_sent, sent_again, redone_at_most));
  line("broken rules", broken.empty() ? "none" : "");
  for (const std::string& what : broken) out += "  " + what + "\n";
  return out;
}

}  // namespace backfill::scale
