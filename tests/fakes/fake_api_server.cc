#include "tests/fakes/fake_api_server.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "tests/fakes/api_server/api_state.h"
#include "tests/fakes/api_server/open_stream.h"
#include "tests/fakes/api_server/server_parts.h"

namespace backfill::fakes {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMaxLog = 100'000;
// What the server waits for a version that it does not have yet.
constexpr Duration kPatienceForVersion = 3s;

bool Fits(const CallFilter& filter, const std::string& verb, const std::string& plural,
          const std::string& ns, const std::string& name, const std::string& subresource) {
  const auto fits = [](const std::string& wanted, const std::string& is) {
    return wanted.empty() || wanted == is;
  };
  const bool sub =
      filter.subresource == "-" ? subresource.empty() : fits(filter.subresource, subresource);
  return sub && fits(filter.verb, verb) && fits(filter.plural, plural) && fits(filter.ns, ns) &&
         fits(filter.name, name);
}

bool Fits(const CallFilter& filter, const ApiCall& call) {
  return Fits(filter, call.verb, call.plural, call.ns, call.name, call.subresource);
}

bool Fits(const CallFilter& filter, const ServedCall& call) {
  return Fits(filter, call.verb, call.plural, call.ns, call.name, call.subresource);
}

kube::HttpResponse ResponseOf(const Fault& fault) {
  Failure failure{fault.status, fault.reason, fault.message};
  if (fault.retry_after) failure.details["retryAfterSeconds"] = fault.retry_after->count();
  return ResponseTo(failure);
}

bool IsRead(const ApiCall& call) { return call.verb == "get" || call.verb == "list"; }

}  // namespace

FakeApiServer::FakeApiServer(ManualClock& clock) : FakeApiServer(clock, Options{}) {}

FakeApiServer::FakeApiServer(ManualClock& clock, const Options& options)
    : clock_(clock),
      manual_(&clock),
      state_(
          std::make_unique<ApiState>(ApiState::Options{.seed = options.seed,
                                                       .namespaces = options.namespaces,
                                                       .collect_at_once = options.collect_at_once,
                                                       .window = options.window})) {
  listener_ = clock.Listen([this] {
    {
      MutexLock l(mu_);
    }  // whoever looked at the time before is waiting by now
    Wake();
  });
}

FakeApiServer::FakeApiServer(const Clock& clock, const Options& options)
    : clock_(clock),
      manual_(nullptr),
      state_(
          std::make_unique<ApiState>(ApiState::Options{.seed = options.seed,
                                                       .namespaces = options.namespaces,
                                                       .collect_at_once = options.collect_at_once,
                                                       .window = options.window})) {}

FakeApiServer::~FakeApiServer() {
  if (manual_ != nullptr) manual_->Forget(listener_);
}

Result<kube::HttpResponse> FakeApiServer::Send(const kube::HttpRequest& request, Time deadline,
                                               std::stop_token stop) {
  const ApiCall call = ParseCall(request);
  if (!request.body.empty() && request.content_type.empty()) {
    return Error{ErrorCode::kInvalid, "a body without a content type"};
  }
  MutexLock l(mu_);
  Gate gate = Pass(call, deadline, stop);
  if (!gate.error && !gate.response) {
    Result<kube::HttpResponse> response = Served(call, request, deadline, stop);
    if (gate.fault && gate.fault->twice && response.ok()) {
      response = Served(call, request, deadline, stop);
    }
    if (!response.ok()) {
      gate.error = response.error();
    } else {
      gate.response = *response;
      if (gate.fault && gate.fault->applied) {
        const Time answer_at = clock_.Steady() + gate.fault->delay;
        WaitUntil(std::min(answer_at, deadline), stop, [] { return false; });
        if (stop.stop_requested()) {
          gate.error = Error{ErrorCode::kAborted, "stopped"};
        } else if (answer_at > deadline) {
          gate.error = Error{ErrorCode::kDeadline, "no answer in time"};
        } else if (gate.fault->error) {
          gate.error = gate.fault->error;
        } else if (gate.fault->status != 0) {
          gate.response = ResponseOf(*gate.fault);
        }
      }
    }
  }
  Log(call, request, gate.error ? 0 : gate.response->status);
  Wake();
  if (gate.error) return *gate.error;
  if (gate.response->body.size() > request.max_response_bytes) {
    return Error{ErrorCode::kInvalid,
                 fmt::format("the response has {} bytes, at most {} are allowed",
                             gate.response->body.size(), request.max_response_bytes)};
  }
  return *gate.response;
}

FakeApiServer::Gate FakeApiServer::Pass(const ApiCall& call, Time deadline,
                                        const std::stop_token& stop) {
  const auto failed = [](Error error) { return Gate{std::move(error), {}, {}}; };
  if (stop.stop_requested()) return failed({ErrorCode::kAborted, "stopped"});
  if (clock_.Steady() >= deadline) return failed({ErrorCode::kDeadline, "no time left"});
  const auto held = [&]() REQUIRES(mu_) {
    return std::ranges::any_of(holds_, [&](const CallFilter& f) { return Fits(f, call); });
  };
  if (held()) {
    ++held_;
    Wake();
    WaitUntil(deadline, stop, [&]() REQUIRES(mu_) { return !held(); });
    --held_;
    if (stop.stop_requested()) return failed({ErrorCode::kAborted, "stopped"});
    if (held()) return failed({ErrorCode::kDeadline, "no answer in time"});
  }
  if (IsDown()) return failed({ErrorCode::kUnavailable, "connection refused"});
  if (calls_left_ > 0 && --calls_left_ == 0) {
    // This one is still answered; everything that is open breaks with the server.
    for (OpenStream* stream : streams_) stream->end = OpenStream::End::kCut;
    Wake();
  }
  std::optional<Fault> fault = TakeFault(call);
  if (!fault || fault->applied || fault->twice) return Gate{{}, {}, std::move(fault)};

  const Time answer_at = clock_.Steady() + fault->delay;
  WaitUntil(std::min(answer_at, deadline), stop, [] { return false; });
  if (stop.stop_requested()) return failed({ErrorCode::kAborted, "stopped"});
  if (answer_at > deadline) return failed({ErrorCode::kDeadline, "no answer in time"});
  if (fault->error) return failed(*fault->error);
  if (fault->status != 0) return Gate{{}, ResponseOf(*fault), {}};
  return Gate{};
}

std::optional<Fault> FakeApiServer::TakeFault(const ApiCall& call) {
  const auto it =
      std::ranges::find_if(levers_, [&](const Lever& lever) { return Fits(lever.filter, call); });
  if (it == levers_.end()) return std::nullopt;
  Fault fault = it->fault;
  if (it->left != std::numeric_limits<int>::max() && --it->left == 0) levers_.erase(it);
  return fault;
}

Result<kube::HttpResponse> FakeApiServer::Served(const ApiCall& call,
                                                 const kube::HttpRequest& request, Time deadline,
                                                 const std::stop_token& stop) {
  // A read of a version that is not there yet is patient for a while.
  const auto version = call.Version();
  if (IsRead(call) && version.ok() && version->has_value() && **version > Visible()) {
    const Time until = clock_.Steady() + kPatienceForVersion;
    WaitUntil(std::min(until, deadline), stop,
              [&]() REQUIRES(mu_) { return **version <= Visible(); });
    if (stop.stop_requested()) return Error{ErrorCode::kAborted, "stopped"};
    if (clock_.Steady() >= deadline) return Error{ErrorCode::kDeadline, "no answer in time"};
  }
  return Perform(call, request);
}

kube::HttpResponse FakeApiServer::Perform(const ApiCall& call, const kube::HttpRequest& request) {
  if (const auto document = documents_.find(call.path); document != documents_.end()) {
    return {.status = 200, .body = document->second, .retry_after = {}, .warnings = {}};
  }
  if (auto review = PerformReview(call, request)) return *std::move(review);
  if (IsRead(call)) return state_->Read(call, Visible());
  if (call.verb == "watch") return ResponseTo(BadRequest("a watch is a stream"));
  if (OverQuota(call)) {
    const std::size_t max = quotas_.at({call.plural, call.ns});
    return ResponseTo(Forbidden(
        *state_->KindOf(call), "",
        fmt::format("exceeded quota: quota, requested: count/{0}=1, used: count/{0}={1}, limited: "
                    "count/{0}={1}",
                    call.plural, max)));
  }
  return state_->Write(call, request, clock_.Wall());
}

bool FakeApiServer::OverQuota(const ApiCall& call) const {
  const auto quota = quotas_.find({call.plural, call.ns});
  if (quota == quotas_.end() || call.verb != "create") return false;
  const FakeKind* kind = state_->KindOf(call);
  if (kind == nullptr) return false;
  const auto& all = state_->history().All(*kind);
  const auto used = std::ranges::count_if(
      all, [&](const auto& entry) { return NamespaceOf(entry.first) == call.ns; });
  return static_cast<std::size_t>(used) >= quota->second;
}

std::uint64_t FakeApiServer::Visible() const { return lag_.value_or(state_->history().version()); }

void FakeApiServer::Log(const ApiCall& call, const kube::HttpRequest& request, int status) {
  if (log_.size() >= kMaxLog) log_.pop_front();
  log_.push_back({.verb = call.verb,
                  .plural = call.plural,
                  .ns = call.ns,
                  .name = call.name,
                  .subresource = call.subresource,
                  .target = request.target,
                  .body = request.body,
                  .status = status});
}

kube::HttpResponse FakeApiServer::Do(kube::HttpMethod method, const std::string& target,
                                     const std::string& body, const std::string& content_type) {
  const kube::HttpRequest request{
      .method = method, .target = target, .content_type = content_type, .body = body};
  const ApiCall call = ParseCall(request);
  MutexLock l(mu_);
  kube::HttpResponse response = IsRead(call) ? state_->Read(call, state_->history().version())
                                             : state_->Write(call, request, clock_.Wall());
  Wake();
  return response;
}

void FakeApiServer::CollectGarbage() {
  MutexLock l(mu_);
  state_->CollectGarbage(clock_.Wall());
  Wake();
}

void FakeApiServer::ServeKind(FakeKind kind) {
  MutexLock l(mu_);
  state_->kinds().Serve(std::move(kind));
}

void FakeApiServer::UseSchema(const std::string& plural,
                              std::shared_ptr<const ObjectSchema> schema) {
  MutexLock l(mu_);
  const FakeKind* known = state_->kinds().FindByPlural(plural);
  if (known == nullptr) return;
  FakeKind kind = *known;
  kind.schema = std::move(schema);
  state_->kinds().Serve(std::move(kind));
}

void FakeApiServer::ServeDocument(const std::string& path, std::string body) {
  MutexLock l(mu_);
  documents_[path] = std::move(body);
}

std::uint64_t FakeApiServer::version() const {
  MutexLock l(mu_);
  return state_->history().version();
}

void FakeApiServer::FailNext(int n, Fault fault, CallFilter filter) {
  if (n <= 0) return;
  MutexLock l(mu_);
  levers_.push_back({n, std::move(fault), std::move(filter)});
}

void FakeApiServer::FailAlways(Fault fault, CallFilter filter) {
  FailNext(std::numeric_limits<int>::max(), std::move(fault), std::move(filter));
}

void FakeApiServer::Heal() {
  MutexLock l(mu_);
  levers_.clear();
}

void FakeApiServer::SetQuota(const std::string& plural, const std::string& ns, std::size_t max) {
  MutexLock l(mu_);
  quotas_[{plural, ns}] = max;
}

void FakeApiServer::LiftQuotas() {
  MutexLock l(mu_);
  quotas_.clear();
}

void FakeApiServer::GoDown() {
  MutexLock l(mu_);
  down_ = true;
  for (OpenStream* stream : streams_) stream->end = OpenStream::End::kCut;
  Wake();
}

void FakeApiServer::GoDownAfter(int calls) {
  if (calls <= 0) return GoDown();
  MutexLock l(mu_);
  calls_left_ = calls;
}

void FakeApiServer::ComeBack() {
  MutexLock l(mu_);
  down_ = false;
  calls_left_ = -1;
}

void FakeApiServer::Hold(CallFilter filter) {
  MutexLock l(mu_);
  holds_.push_back(std::move(filter));
}

void FakeApiServer::Release() {
  MutexLock l(mu_);
  holds_.clear();
  Wake();
}

bool FakeApiServer::AwaitHeld(int n) {
  return AwaitForReal([&]() REQUIRES(mu_) { return held_ >= n; });
}

void FakeApiServer::Compact() {
  MutexLock l(mu_);
  // The version itself is too old as well, unless it is the newest: so there is a newer one.
  state_->history().Compact(state_->history().version());
}

void FakeApiServer::LagBehind() {
  MutexLock l(mu_);
  lag_ = state_->history().version();
}

void FakeApiServer::CatchUp() {
  MutexLock l(mu_);
  lag_.reset();
  Wake();
}

std::vector<ServedCall> FakeApiServer::Calls(const CallFilter& filter) const {
  MutexLock l(mu_);
  std::vector<ServedCall> calls;
  for (const ServedCall& call : log_) {
    if (Fits(filter, call)) calls.push_back(call);
  }
  return calls;
}

int FakeApiServer::Count(const CallFilter& filter) const {
  return static_cast<int>(Calls(filter).size());
}

void FakeApiServer::ForgetCalls() {
  MutexLock l(mu_);
  log_.clear();
}

}  // namespace backfill::fakes
