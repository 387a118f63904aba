#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/result.h"
#include "operator/kube/client/api_error.h"
#include "operator/kube/client/api_object.h"
#include "operator/kube/runtime/write_guard.h"

namespace backfill::kube {

// How a reconcile ended.
struct Outcome {
  enum class Kind {
    kDone,
    kAgain,       // there is more to do: soon, and less soon each time
    kAgainAfter,  // `after`
    kFailed,      // `error`: again later
    kRefused,     // `error`, which no repetition heals: not before the object changes
  };
  Kind kind = Kind::kDone;
  Duration after{};
  Error error = {};

  static Outcome Done() { return {}; }
  static Outcome Again() { return {.kind = Kind::kAgain, .after = {}, .error = {}}; }
  static Outcome AgainAfter(Duration after) {
    return {.kind = Kind::kAgainAfter, .after = after, .error = {}};
  }
  // Of a call: done, or failed with its error.
  template <typename T>
  static Outcome Of(const ApiResult<T>& call) {
    return call.ok() ? Done() : Failed(call.error().ToError());
  }
  static Outcome Failed(Error error) {
    return {.kind = Kind::kFailed, .after = {}, .error = std::move(error)};
  }
  static Outcome Refused(Error error) {
    return {.kind = Kind::kRefused, .after = {}, .error = std::move(error)};
  }
};

// What a reconcile may use, and what it has to tell. Of one thread; lives as long as the call.
class ReconcileContext {
 public:
  struct Limits {
    Time deadline{};
    int calls = 0;
  };
  // `may_act` may be empty: then always.
  using MayAct = std::function<bool(Time now)>;
  ReconcileContext(ObjectKey key, std::string id, const Limits& limits, std::stop_token stop,
                   const MayAct& may_act, const Clock& clock, WriteGuard& guard);

  // For log lines: one for each reconcile (R35).
  [[nodiscard]] const std::string& id() const { return id_; }
  [[nodiscard]] Time deadline() const { return limits_.deadline; }
  [[nodiscard]] const std::stop_token& stop() const { return stop_; }

  // Ask before each call to the API server, and return what it says if it is an error: kDeadline
  // when time or calls are used up, which is no failure (R18: the next reconcile goes on), or
  // kAborted when it is stopped, or may not act because it leads no longer (R38).
  Status BeginCall();
  [[nodiscard]] bool exhausted() const { return exhausted_; }

  // Before the first create or delete: is a live read needed (R22)? Say so when it was made.
  [[nodiscard]] bool MustReadLive() const { return guard_.MustReadLive(key_); }
  void OnLiveRead(const ObjectVersion& read) { guard_.OnLiveRead(key_, read, clock_.Steady()); }
  // After each write that the server confirmed (R21).
  void OnWrite(const ObjectVersion& written) { guard_.OnWrite(key_, written, clock_.Steady()); }
  // Before a create or delete of a child, and after it failed.
  void Expect(const ExpectedChange& change) { guard_.Expect(key_, change, clock_.Steady()); }
  void Lower(const ExpectedChange& change) { guard_.Lower(change); }

 private:
  const ObjectKey key_;
  const std::string id_;
  const Limits limits_;
  const std::stop_token stop_;
  const MayAct& may_act_;
  const Clock& clock_;
  WriteGuard& guard_;
  int calls_ = 0;
  bool exhausted_ = false;
};

// Brings the world closer to what the object of that name says. Level-based (R20): it looks at what
// is there, never at what happened, and may run at any time, twice, and after any gap. Called by
// several threads, for one key by one at a time. May throw: that is a failure, and counted.
class Reconciler {
 public:
  virtual ~Reconciler() = default;
  virtual Outcome Reconcile(const ObjectKey& key, ReconcileContext& context) = 0;
};

}  // namespace backfill::kube
