#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"

namespace backfill::app {

enum class TlsMode {
  kSelfSigned,  // the leader makes certificates and keeps them in a Secret
  kSecret,      // those of a mounted Secret of somebody else, such as cert-manager's
};

// How an operator is run. The chart's values end here.
struct Settings {
  std::string ns;                             // of the operator itself: its Lease, Secret and pods
  std::string pod_name;                       // of this replica
  std::vector<std::string> watch_namespaces;  // empty: all
  std::string kubeconfig;  // "": in a pod by its service account, else as kubectl does

  std::string worker_image;
  std::string worker_resources;  // of a container, as JSON; "": JobPool's own
  Duration worker_idle_timeout = std::chrono::minutes(15);  // of a pause, then pods are let go
  Duration worker_ttl = std::chrono::hours(1);              // of a Job that has ended
  std::string coordinator_address;  // as workers dial it: dns:///SERVICE.NAMESPACE.svc:PORT
  std::string coordinator_service;  // as that says

  std::string grpc_listen = "0.0.0.0:9443";
  std::string probes_listen = "0.0.0.0:8080";
  int probes_port = 8080;                                       // as that says
  Duration grpc_max_connection_age = std::chrono::minutes(30);  // then a worker connects anew

  TlsMode tls_mode = TlsMode::kSelfSigned;
  std::string tls_secret = "backfill-operator-tls";
  std::string tls_dir;  // of kSecret: tls.crt, tls.key, ca.crt

  std::string lease_name = "backfill-operator";
  std::string pod_selector = "app.kubernetes.io/name=backfill-operator";  // of all replicas
  Duration lease_duration = std::chrono::seconds(5);
  Duration renew_deadline = std::chrono::seconds(3);
  Duration retry_period = std::chrono::seconds(1);

  // Has a folder of files for each name that budgets give as credentials. Empty: there are none.
  std::string metric_credentials_dir;
  // Overrides with breakGlass are obeyed: a policy asks whoever writes one for the verb.
  bool break_glass = false;
  // Every decision about a rate is written there (operator/decision_log). Empty: nowhere.
  std::string decision_log_dir;
  int decision_log_mebibytes = 16;

  int reconcile_workers = 4;
  Duration status_period = std::chrono::seconds(5);
  Duration drain_timeout = std::chrono::seconds(120);
  double client_qps = 20;
  int client_burst = 30;
  LogLevel log_level = LogLevel::kInfo;
};

struct Invocation {
  std::optional<Settings> run;  // absent: `text` is all that was asked for
  std::string text;             // help or version
};

// Each flag is also a variable, BACKFILL_OPERATOR_ and its name: --lease-name is
// BACKFILL_OPERATOR_LEASE_NAME; a flag wins. kInvalid: says which flag and what it takes. Must be
// called before there are threads, as it reads the environment.
Result<Invocation> ReadInvocation(const std::vector<std::string>& arguments);

}  // namespace backfill::app
