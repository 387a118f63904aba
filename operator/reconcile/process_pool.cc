#include "operator/reconcile/process_pool.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <map>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "base/log.h"
#include "base/mutex.h"
#include "operator/reconcile/sent_files.h"

namespace backfill::reconcile {
namespace {

constexpr int kConfigError = 78;        // sysexits.h EX_CONFIG: what no retry can heal
constexpr Duration kPollPeriod = 20ms;  // how late the end of a worker is noticed
constexpr Duration kHealthy = 10s;      // a worker that lived so long resets its slot's back-off
constexpr int kLifelineFd = 3, kAliveFd = 4, kSentFd = 5;  // in the child
constexpr int kFirstOtherFd = 6;

std::string DescribeEnd(const std::string& worker, int wait_status) {
  if (WIFEXITED(wait_status))
    return worker + " exited with " + std::to_string(WEXITSTATUS(wait_status));
  if (WIFSIGNALED(wait_status))
    return worker + " was killed by signal " + std::to_string(WTERMSIG(wait_status));
  return worker + " ended";
}

std::string Errno(int error) {
  char text[128];
  return strerror_r(error, text, sizeof text);  // the GNU one
}

// Environment of a child: ours, without what it must not inherit, and its own.
std::vector<std::string> ChildEnvironment(
    const std::vector<std::pair<std::string, std::string>>& own) {
  std::vector<std::string> env;
  for (char** e = environ; *e != nullptr; ++e)
    if (std::string_view(*e).substr(0, 9) != "BACKFILL_") env.emplace_back(*e);
  for (const auto& [name, value] : own) env.emplace_back(name).append("=").append(value);
  return env;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (std::string& t : texts) pointers.push_back(t.data());
  pointers.push_back(nullptr);
  return pointers;
}

class SpawnActions {
 public:
  SpawnActions() { posix_spawn_file_actions_init(&actions_); }
  ~SpawnActions() { posix_spawn_file_actions_destroy(&actions_); }
  SpawnActions(const SpawnActions&) = delete;
  SpawnActions& operator=(const SpawnActions&) = delete;
  posix_spawn_file_actions_t* get() { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_{};
};

// Above `lowest`, closed at the end.
class UniqueFd {
 public:
  UniqueFd() = default;
  UniqueFd(int fd, int lowest) : fd_(fcntl(fd, F_DUPFD_CLOEXEC, lowest)) { close(fd); }
  ~UniqueFd() {
    if (fd_ >= 0) close(fd_);
  }
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_ = -1;
};

class SpawnAttributes {
 public:
  SpawnAttributes() {
    posix_spawnattr_init(&attributes_);
    // A group of its own: Ctrl-C in a terminal is for the runner, which then lets its workers
    // drain.
    posix_spawnattr_setpgroup(&attributes_, 0);
    sigset_t none, defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) sigaddset(&defaults, signal);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &defaults);
    posix_spawnattr_setflags(
        &attributes_, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  ~SpawnAttributes() { posix_spawnattr_destroy(&attributes_); }
  SpawnAttributes(const SpawnAttributes&) = delete;
  SpawnAttributes& operator=(const SpawnAttributes&) = delete;
  posix_spawnattr_t* get() { return &attributes_; }

 private:
  posix_spawnattr_t attributes_{};
};

}  // namespace

struct ProcessPool::Impl {
  struct Slot {
    pid_t pid = 0;  // 0: no process
    std::string instance;
    Time started;
    std::optional<Time> kill_at;     // SIGTERM was sent; SIGKILL follows then
    std::optional<Time> restart_at;  // ended badly
    Duration backoff{};
    bool finished = false;  // exited 0: there is no more work
  };
  struct Pool {
    int desired = 0;
    std::vector<Slot> slots;
    std::uint64_t failures = 0;
    std::string last_failure;
    bool config_error = false;
  };
  struct Gone {
    StageKey key;
    std::string worker, instance;
  };

  // Constant after Start().
  const ProcessPoolOptions options;
  const Clock& clock;
  int lifeline_read = -1, lifeline_write = -1;
  int alive_lock = -1;  // a copy of options.alive_lock_fd, or of lifeline_read

  Mutex mu;
  std::condition_variable_any wake;
  std::map<StageKey, Pool> pools GUARDED_BY(mu);
  std::jthread thread;  // last: joins before the rest goes

  Impl(ProcessPoolOptions o, const Clock& c) : options(std::move(o)), clock(c) {}

  static std::string WorkerName(const StageKey& key, std::size_t index) {
    return std::string(ToString(key.stage)) + "-" + std::to_string(index);
  }

  Result<pid_t> Spawn(const StageKey& key, const std::string& worker,
                      const std::string& instance) const {
    std::vector<std::string> args = {options.worker_binary.string()};
    std::vector<std::string> env =
        ChildEnvironment({{"BACKFILL_COORDINATOR", options.coordinator_address},
                          {"BACKFILL_TOKEN", options.token},
                          {"BACKFILL_UID", key.uid},
                          {"BACKFILL_STAGE", std::string(ToString(key.stage))},
                          {"BACKFILL_WORKER", worker},
                          {"BACKFILL_INSTANCE", instance},
                          {"BACKFILL_LIFELINE_FD", std::to_string(kLifelineFd)},
                          {"BACKFILL_ALIVE_LOCK_FD", std::to_string(kAliveFd)}});
    UniqueFd sent;
    if (!options.sent_dir.empty()) {
      sent = UniqueFd(TRY(CreateSentFile(options.sent_dir, worker, instance)), kFirstOtherFd);
      env.push_back("BACKFILL_SENT_FD=" + std::to_string(kSentFd));
    }
    SpawnActions actions;
    posix_spawn_file_actions_addopen(actions.get(), STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(actions.get(), STDOUT_FILENO, options.log_file.c_str(),
                                     O_WRONLY | O_APPEND | O_CREAT, 0600);
    posix_spawn_file_actions_adddup2(actions.get(), STDOUT_FILENO, STDERR_FILENO);
    // They come from numbers above kFirstOtherFd (Start), so no copy overwrites the source of the
    // next.
    posix_spawn_file_actions_adddup2(actions.get(), lifeline_read, kLifelineFd);
    posix_spawn_file_actions_adddup2(actions.get(), alive_lock, kAliveFd);
    if (sent.get() >= 0) posix_spawn_file_actions_adddup2(actions.get(), sent.get(), kSentFd);
    posix_spawn_file_actions_addclosefrom_np(actions.get(), kFirstOtherFd);
    SpawnAttributes attributes;
    pid_t pid = 0;
    const int error = posix_spawn(&pid, options.worker_binary.c_str(), actions.get(),
                                  attributes.get(), Pointers(args).data(), Pointers(env).data());
    if (error != 0)
      return Error{ErrorCode::kUnavailable,
                   "starting " + options.worker_binary.string() + ": " + Errno(error)};
    return pid;
  }

  // Keeps every slot as it should be. Returns who has ended, to be reported without the lock.
  std::vector<Gone> Step() REQUIRES(mu) {
    std::vector<Gone> gone;
    const Time now = clock.Steady();
    for (auto& [key, pool] : pools) {
      for (std::size_t i = 0; i < pool.slots.size(); ++i) {
        Slot& slot = pool.slots[i];
        if (slot.pid != 0) Reap(key, pool, i, now, gone);
        if (slot.pid != 0) {
          Supervise(pool, slot, i, now);
        } else if (static_cast<int>(i) < pool.desired && !slot.finished && !pool.config_error &&
                   (!slot.restart_at || *slot.restart_at <= now)) {
          StartSlot(key, pool, i, now);
        }
      }
    }
    return gone;
  }

  void Reap(const StageKey& key, Pool& pool, std::size_t index, Time now, std::vector<Gone>& gone)
      REQUIRES(mu) {
    Slot& slot = pool.slots[index];
    int status = 0;
    const pid_t reaped = waitpid(slot.pid, &status, WNOHANG);
    if (reaped == 0 || (reaped < 0 && errno == EINTR)) return;
    const std::string worker = WorkerName(key, index);
    gone.push_back({key, worker, slot.instance});
    const bool asked = slot.kill_at.has_value();
    const bool success = reaped > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    const bool lived = now - slot.started >= kHealthy;
    slot.pid = 0;
    slot.kill_at.reset();
    slot.restart_at.reset();
    if (success) {
      slot.finished = !asked;  // one that was asked to end may be wanted again
    } else if (!asked) {
      ++pool.failures;
      pool.last_failure = DescribeEnd(worker, status) + " (see " + options.log_file.string() + ")";
      if (WIFEXITED(status) && WEXITSTATUS(status) == kConfigError) pool.config_error = true;
      slot.backoff = lived || slot.backoff == Duration::zero()
                         ? options.restart_min
                         : std::min(slot.backoff * 2, options.restart_max);
      slot.restart_at = now + slot.backoff;
      Log(LogLevel::kWarning, "a worker ended", {{"worker", worker}, {"how", pool.last_failure}});
    }
  }

  // A running worker: is it one too many, and has its grace ended?
  void Supervise(const Pool& pool, Slot& slot, std::size_t index, Time now) const {
    if (static_cast<int>(index) >= pool.desired && !slot.kill_at) {
      kill(slot.pid, SIGTERM);
      slot.kill_at = now + options.grace;
    } else if (slot.kill_at && *slot.kill_at <= now) {
      kill(slot.pid, SIGKILL);
    }
  }

  void StartSlot(const StageKey& key, Pool& pool, std::size_t index, Time now) REQUIRES(mu) {
    Slot& slot = pool.slots[index];
    constexpr std::size_t kInstanceBytes = 8;
    slot.instance = RandomHex(kInstanceBytes);
    const auto pid = Spawn(key, WorkerName(key, index), slot.instance);
    if (pid.ok()) {
      slot.pid = *pid;
      slot.started = now;
      return;
    }
    ++pool.failures;
    pool.last_failure = pid.error().message;
    slot.backoff = slot.backoff == Duration::zero()
                       ? options.restart_min
                       : std::min(slot.backoff * 2, options.restart_max);
    slot.restart_at = now + slot.backoff;
  }

  void Run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      std::vector<Gone> gone;
      {
        MutexLock l(mu);
        gone = Step();
      }
      if (options.on_gone)
        for (const Gone& g : gone) options.on_gone(g.key, g.worker, g.instance);
      mu.lock();
      wake.wait_for(mu, stop, kPollPeriod, [] { return false; });
      mu.unlock();
    }
  }

  void SetDesired(const StageKey& key, int replicas) {
    MutexLock l(mu);
    Pool& pool = pools[key];
    if (pool.desired == replicas && pool.slots.size() >= static_cast<std::size_t>(replicas)) return;
    // A worker that is wanted anew has work again.
    for (auto i = static_cast<std::size_t>(pool.desired); i < pool.slots.size(); ++i)
      pool.slots[i].finished = false;
    pool.desired = replicas;
    if (pool.slots.size() < static_cast<std::size_t>(replicas))
      pool.slots.resize(static_cast<std::size_t>(replicas));
    wake.notify_all();
  }

  // The last thing that happens to the children of a pool that goes away.
  void KillAndReap() {
    MutexLock l(mu);
    for (auto& [key, pool] : pools) {
      for (Slot& slot : pool.slots) {
        if (slot.pid == 0) continue;
        kill(slot.pid, SIGKILL);
        while (waitpid(slot.pid, nullptr, 0) < 0 && errno == EINTR) {
        }
        slot.pid = 0;
      }
    }
  }
};

ProcessPool::ProcessPool(ProcessPoolOptions options, const Clock& clock)
    : impl_(std::make_unique<Impl>(std::move(options), clock)) {}

ProcessPool::~ProcessPool() {
  impl_->thread.request_stop();
  if (impl_->thread.joinable()) impl_->thread.join();
  impl_->KillAndReap();
  for (const int fd : {impl_->lifeline_read, impl_->alive_lock})
    if (fd >= 0) close(fd);
  if (impl_->lifeline_write >= 0) close(impl_->lifeline_write);
}

Status ProcessPool::Start() {
  const std::filesystem::path& binary = impl_->options.worker_binary;
  if (access(binary.c_str(), X_OK) != 0)
    return Error{ErrorCode::kInvalid,
                 "the worker binary " + binary.string() + " cannot be executed: " + Errno(errno)};
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0)
    return Error{ErrorCode::kUnavailable, "making a pipe: " + Errno(errno)};
  impl_->lifeline_write = fds[1];
  impl_->lifeline_read = fcntl(fds[0], F_DUPFD_CLOEXEC, kFirstOtherFd);
  close(fds[0]);
  if (impl_->lifeline_read < 0)
    return Error{ErrorCode::kUnavailable, "making a pipe: " + Errno(errno)};
  const int lock = impl_->options.alive_lock_fd;
  impl_->alive_lock =
      fcntl(lock >= 0 ? lock : impl_->lifeline_read, F_DUPFD_CLOEXEC, kFirstOtherFd);
  if (impl_->alive_lock < 0)
    return Error{ErrorCode::kUnavailable, "copying the lock of the workers: " + Errno(errno)};
  impl_->thread = std::jthread([this](const std::stop_token& stop) { impl_->Run(stop); });
  return Ok{};
}

Status ProcessPool::Scale(const api::Backfill& backfill, Stage stage, int replicas) {
  impl_->SetDesired(KeyOf(backfill, stage), replicas);
  return Ok{};
}

Status ProcessPool::Stop(const StageKey& key) {
  impl_->SetDesired(key, 0);
  return Ok{};
}

PoolStatus ProcessPool::Observe(const api::Backfill& backfill, Stage stage) {
  MutexLock l(impl_->mu);
  PoolStatus status;
  const auto it = impl_->pools.find(KeyOf(backfill, stage));
  if (it == impl_->pools.end()) return status;
  const Impl::Pool& pool = it->second;
  status.desired = pool.desired;
  status.alive = static_cast<int>(std::count_if(pool.slots.begin(), pool.slots.end(),
                                                [](const Impl::Slot& s) { return s.pid != 0; }));
  status.failures = pool.failures;
  status.last_failure = pool.last_failure;
  status.config_error = pool.config_error;
  return status;
}

void ProcessPool::KillAll() {
  MutexLock l(impl_->mu);
  for (auto& [key, pool] : impl_->pools) {
    pool.desired = 0;
    for (const Impl::Slot& slot : pool.slots)
      if (slot.pid != 0) kill(slot.pid, SIGKILL);
  }
}

}  // namespace backfill::reconcile
