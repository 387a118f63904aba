#include "operator/app/settings.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <map>
#include <utility>

#include "operator/reconcile/worker_job.h"

namespace backfill::app {
namespace {

using namespace std::chrono_literals;

// Why workers ended is read from their Job.
constexpr Duration kShortestTtl = 60s;
// Below that workers do little but connect.
constexpr Duration kShortestAge = 10s;

// 250ms, 5s, 1m30s; a day at most.
std::optional<Duration> ParseDuration(std::string_view text) {
  Duration whole{};
  if (text.empty() || text.size() > 32) return std::nullopt;
  while (!text.empty()) {
    const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
    if (digits == 0 || digits > 8) return std::nullopt;
    const std::int64_t number = std::stoll(std::string(text.substr(0, digits)));
    text.remove_prefix(digits);
    const std::string_view unit = text.substr(0, text.find_first_of("0123456789"));
    text.remove_prefix(unit.size());
    if (unit == "ms") {
      whole += std::chrono::milliseconds(number);
    } else if (unit == "s") {
      whole += std::chrono::seconds(number);
    } else if (unit == "m") {
      whole += std::chrono::minutes(number);
    } else if (unit == "h" && number <= 24) {
      whole += std::chrono::hours(number);
    } else {
      return std::nullopt;
    }
  }
  if (whole <= Duration::zero() || whole > 24h) return std::nullopt;
  return whole;
}

// Of all addresses of the machine, which is what the kubelet asks.
std::optional<int> PortOf(const std::string& listen) {
  for (const std::string_view host : {"0.0.0.0:", "[::]:", ":"}) {
    if (!listen.starts_with(host)) continue;
    const std::string digits = listen.substr(host.size());
    if (digits.empty() || digits.size() > 5 ||
        digits.find_first_not_of("0123456789") != std::string::npos)
      return std::nullopt;
    const int port = std::stoi(digits);
    return port >= 1 && port <= 65535 ? std::optional(port) : std::nullopt;
  }
  return std::nullopt;
}

// The first name in dns:///SERVICE.NAMESPACE.svc:PORT.
std::string ServiceOf(std::string_view address) {
  if (const std::size_t scheme = address.rfind('/'); scheme != std::string_view::npos)
    address.remove_prefix(scheme + 1);
  return std::string(address.substr(0, address.find_first_of(".:")));
}

std::string Format(Duration length) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(length).count();
  return ms % 1000 == 0 ? fmt::format("{}s", ms / 1000) : fmt::format("{}ms", ms);
}

std::string VariableOf(std::string flag) {
  std::string name = "BACKFILL_OPERATOR_";
  for (const char c : flag)
    name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

class Parser {
 public:
  Parser() : cli_("Carries out Backfills on a Kubernetes cluster.", "backfill-operator") {
    cli_.set_version_flag("--version", "backfill-operator " BACKFILL_VERSION);
    cli_.get_formatter()->column_width(44);
    cli_.footer(
        "Examples:\n"
        "  in a pod, as the chart starts it:\n"
        "    backfill-operator --namespace backfill-system --pod-name \"$POD\" \\\n"
        "      --worker-image example.org/backfill/worker:1.0\n"
        "  on a laptop, against the cluster of a kubeconfig:\n"
        "    backfill-operator --namespace backfill-system --kubeconfig ~/.kube/config \\\n"
        "      --worker-image example.org/backfill/worker:1.0");
    Text("namespace", s_.ns, "Namespace of the operator itself")->required();
    Text("pod-name", s_.pod_name, "Name of the pod it runs in; empty: it runs in none");
    cli_.add_option("--watch-namespaces", s_.watch_namespaces,
                    "Only Backfills of these namespaces, joined by commas; empty: all")
        ->envname(VariableOf("watch-namespaces"))
        ->delimiter(',');
    Text("kubeconfig", s_.kubeconfig,
         "File that says where the cluster is; empty: the pod's service account, or $KUBECONFIG");
    Text("worker-image", s_.worker_image, "Image of the workers, pinned for a run at its plan")
        ->required();
    Text("worker-resources", s_.worker_resources,
         "Requests and limits of a worker as JSON, where spec.workers.template has none")
        ->default_str(reconcile::WorkerJobOptions{}.resources);
    Length("worker-idle-timeout", s_.worker_idle_timeout,
           "After so long a pause the pods of workers are let go");
    Length("worker-ttl", s_.worker_ttl, "How long a Job that has ended can be looked at");
    Text("coordinator-address", s_.coordinator_address,
         "Where workers find the leader; empty: the Service backfill-coordinator");
    Text("grpc-listen", s_.grpc_listen, "Address for workers")->capture_default_str();
    Text("probes-listen", s_.probes_listen, "Address of /metrics, /healthz and /readyz")
        ->capture_default_str();
    Length("grpc-max-connection-age", s_.grpc_max_connection_age,
           "Then a worker connects anew, and shows a newer token");
    cli_.add_option("--tls-mode", s_.tls_mode, "SelfSigned or Secret")
        ->envname(VariableOf("tls-mode"))
        ->transform(CLI::CheckedTransformer(std::map<std::string, TlsMode>{
            {"SelfSigned", TlsMode::kSelfSigned}, {"Secret", TlsMode::kSecret}}))
        ->default_str("SelfSigned");
    Text("tls-secret", s_.tls_secret, "Secret that keeps the certificates of SelfSigned")
        ->capture_default_str();
    Text("metric-credentials-dir", s_.metric_credentials_dir,
         "Has a folder of files for each name of credentials that budgets give");
    cli_.add_flag("--break-glass", s_.break_glass,
                  "Obey overrides with breakGlass; an admission policy must ask whoever writes one "
                  "for the verb breakglass, as the chart's does")
        ->envname(VariableOf("break-glass"));
    Text("decision-log-dir", s_.decision_log_dir,
         "Where every decision about a rate is written, for backfill replay-throttle; of this "
         "replica alone");
    cli_.add_option("--decision-log-mebibytes", s_.decision_log_mebibytes,
                    "Size of that log; what is older is dropped")
        ->envname(VariableOf("decision-log-mebibytes"))
        ->check(CLI::Range(1, 1024))
        ->capture_default_str();
    Text("tls-dir", s_.tls_dir, "Where the Secret of --tls-mode Secret is mounted");
    Text("lease-name", s_.lease_name, "Lease of the leader")->capture_default_str();
    Text("pod-selector", s_.pod_selector, "Labels of all replicas")->capture_default_str();
    Length("lease-duration", s_.lease_duration, "Others take a Lease that stood still so long");
    Length("renew-deadline", s_.renew_deadline, "A leader that could not renew so long exits");
    Length("retry-period", s_.retry_period, "Between renewals");
    cli_.add_option("--reconcile-workers", s_.reconcile_workers, "Threads that reconcile")
        ->envname(VariableOf("reconcile-workers"))
        ->check(CLI::Range(1, 64))
        ->capture_default_str();
    Length("status-period", s_.status_period, "Between status writes that carry only progress");
    Length("drain-timeout", s_.drain_timeout, "How long workers may take to end");
    cli_.add_option("--client-qps", s_.client_qps, "Calls a second to the API server")
        ->envname(VariableOf("client-qps"))
        ->check(CLI::Range(1.0, 10000.0))
        ->default_str(fmt::format("{}", s_.client_qps));
    cli_.add_option("--client-burst", s_.client_burst, "Calls at once after a pause")
        ->envname(VariableOf("client-burst"))
        ->check(CLI::Range(1, 100000))
        ->capture_default_str();
    cli_.add_option("--log-level", s_.log_level, "debug, info, warning or error")
        ->envname(VariableOf("log-level"))
        ->transform(
            CLI::CheckedTransformer(std::map<std::string, LogLevel>{{"debug", LogLevel::kDebug},
                                                                    {"info", LogLevel::kInfo},
                                                                    {"warning", LogLevel::kWarning},
                                                                    {"error", LogLevel::kError}}))
        ->default_str("info");
  }

  Result<Invocation> Parse(std::vector<std::string> arguments) {
    std::ranges::reverse(arguments);  // as CLI11 wants them
    try {
      cli_.parse(arguments);
    } catch (const CLI::CallForHelp&) {
      return Invocation{.run = std::nullopt, .text = cli_.help()};
    } catch (const CLI::CallForVersion&) {
      return Invocation{.run = std::nullopt, .text = cli_.version() + "\n"};
    } catch (const CLI::ParseError& e) {
      return Error{ErrorCode::kInvalid, std::string(e.what()) + "; see backfill-operator --help"};
    }
    TRY(CheckTogether());
    return Invocation{.run = s_, .text = {}};
  }

 private:
  CLI::Option* Text(const std::string& flag, std::string& value, const std::string& what) {
    return cli_.add_option("--" + flag, value, what)->envname(VariableOf(flag));
  }
  void Length(const std::string& flag, Duration& value, const std::string& what) {
    cli_.add_option_function<std::string>(
            "--" + flag,
            [&value, flag](const std::string& text) {
              const auto length = ParseDuration(text);
              if (!length)
                throw CLI::ValidationError("--" + flag, "must be a time such as 250ms, 5s or 2m");
              value = *length;
            },
            what)
        ->envname(VariableOf(flag))
        ->type_name("TIME")
        ->default_str(Format(value));
  }

  Status CheckTogether() {
    const auto refuse = [](std::string why) { return Error{ErrorCode::kInvalid, std::move(why)}; };
    // A clock that runs faster by the quotient of the two must not make two leaders; and a leader
    // must have had a chance to renew before it gives up.
    if (s_.lease_duration <= s_.renew_deadline)
      return refuse("--lease-duration must be longer than --renew-deadline");
    if (s_.renew_deadline * 10 <= s_.retry_period * 12)
      return refuse("--renew-deadline must be longer than 1.2 times --retry-period");
    if (s_.lease_duration % 1s != Duration::zero())
      return refuse("--lease-duration must be whole seconds");
    if (s_.tls_mode == TlsMode::kSecret && s_.tls_dir.empty())
      return refuse("--tls-mode Secret needs --tls-dir");
    const auto port = PortOf(s_.probes_listen);
    if (!port) return refuse("--probes-listen must be 0.0.0.0 or [::] and a port: 0.0.0.0:8080");
    s_.probes_port = *port;
    if (s_.worker_ttl < kShortestTtl || s_.worker_ttl % 1s != Duration::zero())
      return refuse("--worker-ttl must be whole seconds, and 60s at least");
    if (s_.grpc_max_connection_age < kShortestAge)
      return refuse("--grpc-max-connection-age must be 10s at least");
    if (!s_.worker_resources.empty()) {
      const Status understood = reconcile::CheckWorkerResources(s_.worker_resources);
      if (!understood.ok()) return refuse("--worker-resources: " + understood.error().message);
    }
    // An empty variable is an empty list.
    std::erase(s_.watch_namespaces, "");
    if (s_.coordinator_address.empty())
      s_.coordinator_address = fmt::format("dns:///backfill-coordinator.{}.svc:9443", s_.ns);
    s_.coordinator_service = ServiceOf(s_.coordinator_address);
    if (s_.coordinator_service.empty())
      return refuse(
          "--coordinator-address must name the Service: dns:///SERVICE.NAMESPACE.svc:9443");
    return Ok{};
  }

  Settings s_;
  CLI::App cli_;
};

}  // namespace

Result<Invocation> ReadInvocation(const std::vector<std::string>& arguments) {
  return Parser().Parse(arguments);
}

}  // namespace backfill::app
