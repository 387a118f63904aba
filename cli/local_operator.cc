#include "cli/local_operator.h"

#include <fmt/format.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <utility>

#include "base/digest.h"
#include "cli/terminal_text.h"
#include "operator/coordinator/coordinator.h"
#include "operator/decision_log/log_file.h"
#include "operator/reconcile/observed_budgets.h"
#include "operator/reconcile/process_pool.h"
#include "operator/reconcile/sent_files.h"

namespace backfill::cli {
namespace {

using namespace std::chrono_literals;

constexpr char kWorkerVariable[] = "BACKFILL_WORKER_BINARY";
constexpr std::size_t kTokenBytes = 32;

// Beside this program, or where the environment says.
std::filesystem::path WorkerBinary() {
  // No other thread changes the environment.
  const char* set = std::getenv(kWorkerVariable);  // NOLINT(concurrency-mt-unsafe)
  if (set != nullptr && *set != '\0') return set;
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  return self.parent_path() / "backfill-worker";
}

// A fresh directory that only we may enter, removed with its owner.
class PrivateDirectory {
 public:
  static Result<PrivateDirectory> Make(const std::filesystem::path& prefix) {
    std::string path = prefix.string() + "XXXXXX";
    if (mkdtemp(path.data()) == nullptr) {
      return Error{ErrorCode::kUnavailable,
                   fmt::format("cannot make the directory {}: {}", Printable(path),
                               std::generic_category().message(errno))};
    }
    return PrivateDirectory(path);
  }
  PrivateDirectory(PrivateDirectory&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  PrivateDirectory& operator=(PrivateDirectory&&) = delete;
  ~PrivateDirectory() {
    std::error_code ignored;  // what is left is removed by the next run
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] std::filesystem::path Socket() const { return path_ / "coordinator.sock"; }

 private:
  explicit PrivateDirectory(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

// In the state directory, or, where that makes the path of a socket too long, in the system's for
// short-lived files. What killed runs of this backfill have left is removed: we hold the lock, so
// they are gone.
Result<PrivateDirectory> MakeSocketDirectory(const OperatorSettings& settings) {
  constexpr std::size_t kDigits = 8;
  const std::string prefix =
      "run-" + Sha256Hex(settings.backfill.ns + "/" + settings.backfill.name).substr(0, kDigits) +
      "-";
  std::error_code error;
  const std::filesystem::path dir = std::filesystem::absolute(settings.state_dir, error);
  for (const auto& entry : std::filesystem::directory_iterator(dir, error)) {
    std::error_code ignored;
    if (entry.path().filename().string().starts_with(prefix))
      std::filesystem::remove_all(entry.path(), ignored);
  }
  const std::string longest = (dir / (prefix + "XXXXXX") / "coordinator.sock").string();
  if (longest.size() < sizeof(sockaddr_un::sun_path)) return PrivateDirectory::Make(dir / prefix);
  return PrivateDirectory::Make(std::filesystem::temp_directory_path(error) / "backfill-");
}

class LocalOperator final : public Operator {
 public:
  LocalOperator(kube::ObjectStore& store, const OperatorSettings& settings,
                PrivateDirectory directory)
      : directory_(std::move(directory)),
        token_(RandomHex(kTokenBytes)),
        decisions_(LogOptions(settings)),
        budgets_({}, clock_),
        coordinator_(store, clock_, leader_, CoordinatorOptions(settings)),
        store_(store) {}

  // Members go in the reverse order of their declaration: no step runs any more, workers are killed
  // and reaped, which the coordinator still hears of, then its socket goes, then the directory.
  ~LocalOperator() override {
    reconciler_.reset();
    pool_.reset();
    coordinator_.Stop();
    decisions_.Stop();
  }

  Status Start(const OperatorSettings& settings) {
    TRY(decisions_.Start());
    TRY(coordinator_.Start());
    reconcile::ProcessPoolOptions options;
    options.worker_binary = WorkerBinary();
    options.coordinator_address = coordinator_.address();
    options.token = token_;
    options.log_file = settings.workers_log;
    options.alive_lock_fd = settings.alive_lock_fd;
    options.sent_dir = settings.sent_dir;
    options.on_gone = [this](const reconcile::StageKey& key, const std::string& worker,
                             const std::string& instance) {
      coordinator_.WorkerGone(key, worker, instance);
    };
    pool_ = std::make_unique<reconcile::ProcessPool>(std::move(options), clock_);
    const Status started = pool_->Start();
    if (!started.ok()) {
      return started.error().Annotate(fmt::format(
          "starting workers (install backfill-worker beside backfill, or name it in {})",
          kWorkerVariable));
    }
    reconcile::ReconcilerOptions reconciler_options;
    reconciler_options.status_period = 500ms;
    reconciler_options.max_replicas = settings.max_replicas;
    reconciler_options.planning = settings.planning;
    reconciler_options.budgets = &budgets_;
    reconciler_options.decisions = &decisions_;
    reconciler_options.asked_for_glass = true;
    reconciler_ = std::make_unique<reconcile::Reconciler>(store_, coordinator_, *pool_, clock_,
                                                          reconciler_options);
    return Ok{};
  }

  Result<reconcile::ReconcileOutcome> Step(const kube::ObjectRef& ref,
                                           std::stop_token stop) override {
    return reconciler_->Reconcile(ref, std::move(stop));
  }
  Status Release(const kube::ObjectRef& ref) override { return reconciler_->Release(ref); }
  void KillWorkers() override { pool_->KillAll(); }

 private:
  static decision_log::LogFileOptions LogOptions(const OperatorSettings& settings) {
    constexpr std::uint64_t kMaxBytes = 16ULL << 20U;
    return {.path = settings.decisions_log, .max_bytes = kMaxBytes, .files = 2};
  }
  [[nodiscard]] coordinator::CoordinatorOptions CoordinatorOptions(
      const OperatorSettings& settings) {
    coordinator::CoordinatorOptions options;
    options.server.unix_socket = directory_.Socket().string();
    options.server.token = token_;
    options.signals = &budgets_.signals();
    // Also right for a stage that is opened later: our own workers are reaped by the pool before
    // that.
    options.predecessors_proven_gone =
        [gone = settings.predecessors_gone](const reconcile::StageKey&) { return gone; };
    options.sent_by = [dir = settings.sent_dir](const reconcile::StageKey& key,
                                                const std::string& holder) {
      return holder.empty() ? reconcile::ReadSentFilesOf(dir, key.stage)
                            : reconcile::ReadSentFileOf(dir, holder);
    };
    return options;
  }

  const SystemClock clock_;
  const coordinator::SoleLeader leader_;
  const PrivateDirectory directory_;
  const std::string token_;
  decision_log::LogFile decisions_;
  reconcile::ObservedBudgets budgets_;
  coordinator::Coordinator coordinator_;
  kube::ObjectStore& store_;
  std::unique_ptr<reconcile::ProcessPool> pool_;
  std::unique_ptr<reconcile::Reconciler> reconciler_;
};

}  // namespace

Result<std::unique_ptr<Operator>> StartLocalOperator(kube::ObjectStore& store,
                                                     const OperatorSettings& settings) {
  PrivateDirectory directory = TRY(MakeSocketDirectory(settings));
  auto op = std::make_unique<LocalOperator>(store, settings, std::move(directory));
  TRY(op->Start(settings));
  return std::unique_ptr<Operator>(std::move(op));
}

}  // namespace backfill::cli
