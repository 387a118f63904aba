#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "operator/kube/object_store.h"

namespace backfill::fakes {

// An ObjectStore in front of another one, with levers for what a network and a disk do.
// Thread-safe. Levers on writes count Create, Update, UpdateStatus and Delete; with a kind only
// those of that kind.
class StoreLevers final : public kube::ObjectStore {
 public:
  explicit StoreLevers(kube::ObjectStore& inner) : inner_(inner) {}

  // The next n writes fail and change nothing.
  void FailNext(int n, Error error, std::string kind = "") {
    MutexLock l(mu_);
    fail_ = {n, std::move(error), std::move(kind)};
  }
  // The next n writes happen, but the caller is told that they failed: the answer is lost.
  void FailAfterApply(int n, Error error, std::string kind = "") {
    MutexLock l(mu_);
    fail_after_ = {n, std::move(error), std::move(kind)};
  }
  // The next n Get and List fail.
  void FailNextReads(int n, Error error, std::string kind = "") {
    MutexLock l(mu_);
    fail_reads_ = {n, std::move(error), std::move(kind)};
  }

  // Writes wait until Uncork(), 30 s at most: then they fail with kDeadline, so that a test ends.
  // Use from another thread.
  void Cork() {
    MutexLock l(mu_);
    corked_ = true;
  }
  void Uncork() {
    {
      MutexLock l(mu_);
      corked_ = false;
    }
    changed_.notify_all();
  }
  // How many writes wait.
  int Waiting() {
    MutexLock l(mu_);
    return waiting_;
  }
  // Returns once `n` writes wait; false: not within 30 s.
  bool AwaitWaiting(int n) {
    MutexLock l(mu_);
    return changed_.wait_for(mu_, kPatience, [&]() REQUIRES(mu_) { return waiting_ >= n; });
  }

  // Writes of a kind ("": all) that reached the store and succeeded there, and all of them in
  // order.
  int Writes(const std::string& kind = "") {
    MutexLock l(mu_);
    int n = 0;
    for (const kube::ObjectRef& ref : log_) n += kind.empty() || ref.kind == kind ? 1 : 0;
    return n;
  }
  std::vector<kube::ObjectRef> WriteLog() {
    MutexLock l(mu_);
    return log_;
  }
  void ForgetWrites() {
    MutexLock l(mu_);
    log_.clear();
    refused_.clear();
  }
  // Writes that a lever has let fail before they had any effect.
  int Refused(const std::string& kind = "") {
    MutexLock l(mu_);
    int n = 0;
    for (const std::string& of : refused_) n += kind.empty() || of == kind ? 1 : 0;
    return n;
  }

  Result<kube::Object> Get(const kube::ObjectRef& ref) override {
    if (const auto error = Take(fail_reads_, ref.kind)) return *error;
    return inner_.Get(ref);
  }
  Result<std::vector<kube::Object>> List(std::string_view kind, std::string_view ns) override {
    if (const auto error = Take(fail_reads_, std::string(kind))) return *error;
    return inner_.List(kind, ns);
  }
  Result<kube::Object> Create(const kube::Object& object, kube::Durability durability) override {
    return Write(object.ref, [&] { return inner_.Create(object, durability); });
  }
  Result<kube::Object> Update(const kube::Object& object, kube::Durability durability) override {
    return Write(object.ref, [&] { return inner_.Update(object, durability); });
  }
  Result<kube::Object> UpdateStatus(const kube::Object& object,
                                    kube::Durability durability) override {
    return Write(object.ref, [&] { return inner_.UpdateStatus(object, durability); });
  }
  Status Delete(const kube::ObjectRef& ref, std::string_view uid) override {
    return Write(ref, [&] { return inner_.Delete(ref, uid); });
  }
  Result<std::uint64_t> WaitForChange(std::uint64_t seen, Time deadline,
                                      std::stop_token stop) override {
    return inner_.WaitForChange(seen, deadline, std::move(stop));
  }

 private:
  static constexpr std::chrono::seconds kPatience{30};
  struct Lever {
    int left = 0;
    Error error;
    std::string kind;
  };

  std::optional<Error> Take(Lever& lever, const std::string& kind) {
    MutexLock l(mu_);
    if (lever.left == 0 || (!lever.kind.empty() && lever.kind != kind)) return std::nullopt;
    --lever.left;
    return lever.error;
  }

  template <typename F>
  auto Write(const kube::ObjectRef& ref, F write) -> decltype(write()) {
    {
      MutexLock l(mu_);
      ++waiting_;
      changed_.notify_all();
      const bool open = changed_.wait_for(mu_, kPatience, [&]() REQUIRES(mu_) { return !corked_; });
      --waiting_;
      if (!open) return Error{ErrorCode::kDeadline, "the store was corked for too long"};
    }
    if (const auto error = Take(fail_, ref.kind)) {
      MutexLock l(mu_);
      refused_.push_back(ref.kind);
      return *error;
    }
    auto result = write();
    if (result.ok()) {
      MutexLock l(mu_);
      log_.push_back(ref);
    }
    if (const auto error = Take(fail_after_, ref.kind)) return *error;
    return result;
  }

  kube::ObjectStore& inner_;
  Mutex mu_;
  std::condition_variable_any changed_;
  Lever fail_, fail_after_, fail_reads_;  // guarded by mu_
  bool corked_ GUARDED_BY(mu_) = false;
  int waiting_ GUARDED_BY(mu_) = 0;
  std::vector<kube::ObjectRef> log_ GUARDED_BY(mu_);
  std::vector<std::string> refused_ GUARDED_BY(mu_);
};

}  // namespace backfill::fakes
