#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "operator/kube/client/http_transport.h"
#include "tests/fakes/api_server/kinds.h"
#include "tests/fakes/api_server/levers.h"
#include "tests/fakes/manual_clock.h"

namespace backfill::fakes {

class ApiState;
struct ApiCall;
struct OpenStream;
struct StoredChange;

// A kube-apiserver in this process: versions, lists, pages, watches, patches, deletion, garbage
// collection and refusals as the real one has them (README.md says what is missing), with levers
// for what networks and servers do wrong. The suite in api_server_contract_test.cc runs against
// both.
//
// Time is the clock's: with a ManualClock nothing happens by itself, and each wait ends when the
// clock is advanced past its end. What is random comes from the seed. Thread-safe; no lock is held
// while a line is delivered. Must outlive every call; the clock must outlive it.
class FakeApiServer final : public kube::HttpTransport {
 public:
  struct Options {
    std::uint64_t seed = 1;
    std::vector<std::string> namespaces{"default", "shop", "other"};
    bool collect_at_once = false;  // dependents go with their owner; else by CollectGarbage()
    std::size_t window = 20'000;   // changes that are remembered for watches and pages
  };
  explicit FakeApiServer(ManualClock& clock);
  FakeApiServer(ManualClock& clock, const Options& options);
  FakeApiServer(const Clock& clock, const Options& options);  // of the system: waits are real
  ~FakeApiServer() override;

  Result<kube::HttpResponse> Send(const kube::HttpRequest& request, Time deadline,
                                  std::stop_token stop) override;
  Result<kube::HttpResponse> Stream(const kube::HttpRequest& request,
                                    const kube::StreamLimits& limits, std::stop_token stop,
                                    const std::function<bool(std::string_view)>& on_line) override;

  // What somebody else does: no lever applies, nothing is logged, no wait.
  kube::HttpResponse Do(kube::HttpMethod method, const std::string& target,
                        const std::string& body = "",
                        const std::string& content_type = "application/json");
  // Late, when told to, as the real collector. Ends foreground deletions, too.
  void CollectGarbage();
  void ServeKind(FakeKind kind);
  void UseSchema(const std::string& plural, std::shared_ptr<const ObjectSchema> schema);
  // Another document: /version, /openapi/v3/apis/backfill.dev/v1alpha1.
  void ServeDocument(const std::string& path, std::string body);
  void AddToken(const std::string& token, FakeIdentity identity);
  void RemoveToken(const std::string& token);
  // Of SubjectAccessReviews; whatever is not allowed is not.
  void AllowAccess(const std::string& user, const std::string& verb, const std::string& resource);
  [[nodiscard]] std::uint64_t version() const;

  // Faults of calls, watches included. Of several that fit, the first that was set is used first.
  void FailNext(int n, Fault fault, CallFilter filter = {});
  void FailAlways(Fault fault, CallFilter filter = {});  // until Heal()
  void Heal();                                           // forgets all faults
  // Creates beyond `max` objects of a kind in a namespace are refused with 403.
  void SetQuota(const std::string& plural, const std::string& ns, std::size_t max);
  void LiftQuotas();
  // Every call fails, every stream is cut.
  void GoDown();
  // After that many more calls, each of which is answered.
  void GoDownAfter(int calls);
  void ComeBack();
  // Calls that fit wait before they have any effect, until Release() or their deadline.
  void Hold(CallFilter filter);
  void Release();
  bool AwaitHeld(int n);  // false: not within 30 s of real time

  // Faults of streams. "": of all kinds.
  void CutStreams(const std::string& plural = "");     // the connection is lost
  void EndStreams(const std::string& plural = "");     // the server ends them in good order
  void ExpireStreams(const std::string& plural = "");  // ERROR event with 410, then the end
  void FreezeStreams(const std::string& plural = "");  // open, but silent: half-open connections
  void ThawStreams();
  void DropEvents(int n, const std::string& plural);    // the next n are never delivered
  void RepeatEvents(int n, const std::string& plural);  // the next n are delivered twice
  // Later events of a kind wait, those of other kinds do not: they arrive in another order.
  void HoldEvents(const std::string& plural);
  void ReleaseEvents();
  void DripEvents(Duration between);  // one line at a time
  void SendBookmarks(const std::string& plural = "");
  void SendLine(std::string line, const std::string& plural = "");  // whatever it says

  // Versions before now are too old for lists and new watches.
  void Compact();
  enum class ExpiredAs { kEvent, kStatus };
  void AnswerExpiredWatches(ExpiredAs as);
  // Reads that may be stale (with a resourceVersion) and watches see nothing new until CatchUp().
  void LagBehind();
  void CatchUp();

  // What happened. Waits give up after 30 s of real time.
  [[nodiscard]] std::vector<ServedCall> Calls(const CallFilter& filter = {}) const;
  [[nodiscard]] int Count(const CallFilter& filter = {}) const;
  void ForgetCalls();
  [[nodiscard]] int OpenStreams(const std::string& plural = "") const;
  bool AwaitStreams(int n, const std::string& plural = "");
  // Until every stream has delivered all that it may, and its reader has come back for more.
  bool AwaitDelivered(const std::string& plural = "");

 private:
  struct Lever {
    int left = 0;
    Fault fault;
    CallFilter filter;
  };
  struct Gate;

  template <typename Condition>
  bool WaitUntil(Time until, const std::stop_token& stop, Condition condition) REQUIRES(mu_);
  template <typename Condition>
  bool AwaitForReal(Condition condition);
  void Wake() { changed_.notify_all(); }
  [[nodiscard]] bool IsDown() const REQUIRES(mu_) { return down_ || calls_left_ == 0; }
  [[nodiscard]] std::uint64_t Visible() const REQUIRES(mu_);
  [[nodiscard]] std::uint64_t VisibleTo(const OpenStream& stream) const REQUIRES(mu_);
  Gate Pass(const ApiCall& call, Time deadline, const std::stop_token& stop) REQUIRES(mu_);
  std::optional<Fault> TakeFault(const ApiCall& call) REQUIRES(mu_);
  Result<kube::HttpResponse> Served(const ApiCall& call, const kube::HttpRequest& request,
                                    Time deadline, const std::stop_token& stop) REQUIRES(mu_);
  kube::HttpResponse Perform(const ApiCall& call, const kube::HttpRequest& request) REQUIRES(mu_);
  std::optional<kube::HttpResponse> PerformReview(const ApiCall& call,
                                                  const kube::HttpRequest& request) REQUIRES(mu_);
  [[nodiscard]] bool OverQuota(const ApiCall& call) const REQUIRES(mu_);
  void Log(const ApiCall& call, const kube::HttpRequest& request, int status) REQUIRES(mu_);

  std::optional<kube::HttpResponse> OpenWatch(const ApiCall& call, OpenStream& stream,
                                              std::uint64_t& begin_at) REQUIRES(mu_);
  void QueueInitialEvents(OpenStream& stream, bool until_bookmark) REQUIRES(mu_);
  std::optional<std::string> NextLine(OpenStream& stream) REQUIRES(mu_);
  std::string BookmarkOf(const OpenStream& stream, bool initial_end) REQUIRES(mu_);
  bool TakeEventLever(std::map<std::string, int>& lever, const std::string& plural) REQUIRES(mu_);
  template <typename F>
  void ForStreams(const std::string& plural, F f);
  Result<kube::HttpResponse> RunStream(OpenStream& stream, const kube::StreamLimits& limits,
                                       const std::stop_token& stop,
                                       const std::function<bool(std::string_view)>& on_line);

  const Clock& clock_;
  ManualClock* const manual_;  // null: the system's clock
  int listener_ = 0;

  mutable Mutex mu_;
  std::condition_variable_any changed_;
  const std::unique_ptr<ApiState> state_;  // guarded by mu_
  std::list<Lever> levers_ GUARDED_BY(mu_);
  std::map<std::pair<std::string, std::string>, std::size_t> quotas_ GUARDED_BY(mu_);
  bool down_ GUARDED_BY(mu_) = false;
  int calls_left_ GUARDED_BY(mu_) = -1;  // -1: any number
  std::vector<CallFilter> holds_ GUARDED_BY(mu_);
  int held_ GUARDED_BY(mu_) = 0;
  std::deque<ServedCall> log_ GUARDED_BY(mu_);
  std::map<std::string, std::string> documents_ GUARDED_BY(mu_);
  std::map<std::string, FakeIdentity> tokens_ GUARDED_BY(mu_);
  std::set<std::string> access_ GUARDED_BY(mu_);

  std::list<OpenStream*> streams_ GUARDED_BY(mu_);
  std::map<std::string, int> drops_ GUARDED_BY(mu_);
  std::map<std::string, int> repeats_ GUARDED_BY(mu_);
  std::map<std::string, std::uint64_t> held_events_ GUARDED_BY(mu_);
  std::optional<std::uint64_t> lag_ GUARDED_BY(mu_);
  Duration drip_ GUARDED_BY(mu_){0};
  ExpiredAs expired_as_ GUARDED_BY(mu_) = ExpiredAs::kEvent;
};

}  // namespace backfill::fakes
