#include "worker/target/http_sender.h"

#include <algorithm>
#include <deque>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "worker/target/credentials.h"
#include "worker/target/http_connection.h"
#include "worker/target/resolver.h"

namespace backfill::worker {
namespace {

constexpr Duration kAvoidBadAddress = 10s;
// How long no connection is used again after one turned out to be closed: the shortest and the
// longest time, which a server reaches that goes on closing them.
constexpr Duration kNoReuse = 1s;
constexpr Duration kMaxNoReuse = 16s;

std::size_t MaxReply(std::uint32_t batch_size) { return 64 * 1024 + std::size_t{512} * batch_size; }

}  // namespace

class HttpSender::Impl final : public HttpConnection::Owner {
 public:
  static Result<std::unique_ptr<Impl>> Create(boost::asio::io_context& io, const Renderer& renderer,
                                              const OutcomeMap& outcomes,
                                              const HttpSenderOptions& options, Target::Done done) {
    Credentials credentials = TRY(Credentials::Load(renderer));
    return std::make_unique<Impl>(io, renderer, std::move(credentials), outcomes, options,
                                  std::move(done));
  }

  Impl(boost::asio::io_context& io, const Renderer& renderer, Credentials credentials,
       const OutcomeMap& outcomes, const HttpSenderOptions& options, Target::Done done)
      : io_(io),
        renderer_(renderer),
        credentials_(std::move(credentials)),
        outcomes_(outcomes),
        options_(options),
        done_(std::move(done)),
        own_resolver_(options.resolver == nullptr ? SystemResolver(io) : nullptr),
        resolver_(options.resolver == nullptr ? *own_resolver_ : *options.resolver),
        random_(options.seed) {
    boost::system::error_code ec;
    const auto literal = boost::asio::ip::make_address(renderer_.host(), ec);
    if (ec) return;
    literal_ = true;
    addresses_.push_back(
        {Tcp::endpoint(literal, static_cast<unsigned short>(std::stoul(renderer_.port()))), {}});
  }

  void Send(const Dispatch& dispatch, Time now) {
    Job& job = JobOf(dispatch.slot);
    job.records = dispatch.records;
    job.started = now;
    job.deadline = now + renderer_.timeout();
    HttpConnection* connection = TakeConnection();
    const bool reuse = now >= no_reuse_until_ && connection->Reusable();
    if (!reuse) credentials_.headers.Refresh();
    const Status rendered =
        renderer_.Append(*dispatch.records, connection->Buffer(), credentials_.headers.lines());
    if (!rendered) {
      Release(*connection);
      return Lost(dispatch.slot, {.message = rendered.error().message}, FailureClass::kPermanent);
    }
    connection->slot = dispatch.slot;
    if (reuse) return connection->Start(job.deadline);
    if (!literal_ && now >= resolve_again_) Resolve(now);
    if (!resolving_ || LookupIsSlow(now))
      return connection->StartNew(Addresses(now), job.deadline, now);
    waiting_.push_back(connection);
  }

  void Tick(Time now) {
    for (HttpConnection& c : connections_) c.Tick(now);
    if (LookupIsSlow(now)) {
      for (HttpConnection* c : std::exchange(waiting_, {}))
        c->StartNew(Addresses(now), JobOf(c->slot).deadline, now);
    }
    // A lookup cannot be cancelled; those that wait for it can.
    for (std::size_t i = 0; i < waiting_.size();) {
      HttpConnection* c = waiting_[i];
      if (now < JobOf(c->slot).deadline) {
        ++i;
        continue;
      }
      waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i));
      OnLoss(*c, {.unreachable = true,
                  .timeout = true,
                  .message = "looking up " + renderer_.host() + ": no answer in time"});
    }
  }

  void Withdraw() {
    for (HttpConnection* c : std::exchange(waiting_, {}))
      OnLoss(*c, {.withdrawn = true, .message = "withdrawn"});
    for (HttpConnection& c : connections_) c.Withdraw();
  }

  void OnReply(HttpConnection& connection, const HttpReply& reply) override {
    const Job& job = JobOf(connection.slot);
    BatchResult result{.verdict = outcomes_.Of(reply.status)};
    result.latency = reply.at - job.started;
    result.retry_after = reply.retry_after;
    result.overloaded = reply.status == 429 || reply.status == 503 || reply.status == 504;
    // A target that is overloaded says nothing about records.
    const bool speaks_of_records = result.verdict.outcome != Outcome::kFailed ||
                                   result.verdict.failure == FailureClass::kPermanent ||
                                   result.verdict.failure == FailureClass::kConflict;
    if (speaks_of_records && !reply.body.empty()) {
      ReplyOutcomes said = ParseOutcomes(reply.body, *job.records);
      switch (said.kind) {
        case ReplyOutcomes::Kind::kNone:
          break;
        case ReplyOutcomes::Kind::kUnreadable:
          // What the status calls a failure stays one; a success that names exceptions is none.
          if (result.verdict.outcome != Outcome::kFailed) {
            result.verdict = {Outcome::kFailed, FailureClass::kTransient,
                              "the reply cannot be read"};
          }
          break;
        case ReplyOutcomes::Kind::kVerdicts:
          result.per_record = true;
          result.records = std::move(said.verdicts);
          for (auto& [index, verdict] : result.records)
            verdict.message = credentials_.headers.Redact(std::move(verdict.message));
          result.verdict = {Outcome::kFailed, FailureClass::kTransient,
                            "the reply leaves the record out"};
          break;
      }
    }
    const std::uint32_t slot = connection.slot;
    Release(connection);
    done_(slot, std::move(result));
  }

  void OnLoss(HttpConnection& connection, const HttpLoss& loss) override {
    const std::uint32_t slot = connection.slot;
    Release(connection);
    if (loss.stale) DoNotReuse();
    Lost(slot, loss, loss.timeout ? FailureClass::kTimeout : FailureClass::kTransient);
  }

  void OnBadAddress(const Tcp::endpoint& endpoint) override {
    for (Address& a : addresses_) {
      if (a.endpoint == endpoint)
        a.avoid_until = std::chrono::steady_clock::now() + kAvoidBadAddress;
    }
  }

 private:
  struct Address {
    Tcp::endpoint endpoint;
    Time avoid_until{};
  };
  struct Job {
    const std::vector<Record>* records = nullptr;
    Time started{};
    Time deadline{};
  };

  Job& JobOf(std::uint32_t slot) {
    if (slot >= jobs_.size()) jobs_.resize(slot + 1);
    return jobs_[slot];
  }

  void Lost(std::uint32_t slot, const HttpLoss& loss, FailureClass failure) {
    BatchResult result{
        .delivery = loss.delivery, .unreachable = loss.unreachable, .withdrawn = loss.withdrawn};
    result.overloaded = loss.timeout && loss.delivery == Delivery::kUnanswered;
    result.verdict = {Outcome::kFailed, failure, loss.message};
    result.latency = std::chrono::steady_clock::now() - JobOf(slot).started;
    done_(slot, std::move(result));
  }

  // A server that closes connections which it promised to keep will do so with others, too. It
  // costs a record each time, and a new connection each costs only time. For a while: it may have
  // been an accident, such as a restart.
  void DoNotReuse() {
    const Time now = std::chrono::steady_clock::now();
    if (now < no_reuse_until_) return;  // open at the same time: the same news
    const bool again = now < no_reuse_until_ + 4 * no_reuse_for_;
    no_reuse_for_ = again ? std::min(2 * no_reuse_for_, kMaxNoReuse) : kNoReuse;
    no_reuse_until_ = now + no_reuse_for_;
  }

  // The one that was used last is the least likely to have been closed.
  HttpConnection* TakeConnection() {
    if (!free_.empty()) {
      HttpConnection* c = free_.back();
      free_.pop_back();
      return c;
    }
    const auto quarter =
        std::chrono::duration_cast<std::chrono::milliseconds>(options_.max_age).count() / 4;
    const std::chrono::milliseconds jitter(
        std::uniform_int_distribution<std::int64_t>(-quarter, quarter)(random_));
    return &connections_.emplace_back(
        io_, *this,
        HttpConnectionOptions{.max_reply_bytes = MaxReply(options_.batch_size),
                              .max_idle = options_.max_idle,
                              .max_age = options_.max_age + jitter,
                              .replies_without_body = renderer_.method() == "HEAD",
                              .tls = credentials_.tls.get()});
  }

  void Release(HttpConnection& c) {
    if (c.open()) {
      free_.push_back(&c);
    } else {
      free_.push_front(&c);
    }
  }

  // Good ones first, beginning with another one each time.
  std::vector<Tcp::endpoint> Addresses(Time now) {
    std::vector<Tcp::endpoint> order;
    const std::size_t n = addresses_.size();
    const std::size_t first = next_address_++ % n;
    for (const bool avoided : {false, true}) {
      for (std::size_t i = 0; i < n; ++i) {
        const Address& a = addresses_[(first + i) % n];
        if ((now < a.avoid_until) == avoided) order.push_back(a.endpoint);
      }
    }
    return order;
  }

  void Resolve(Time now) {
    if (resolving_) return;
    resolving_ = true;
    lookup_began_ = now;
    resolver_.Resolve(
        renderer_.host(), renderer_.port(),
        [this](const Result<std::vector<Tcp::endpoint>>& found) { OnResolved(found); });
  }

  // A name server that hangs must not keep anybody from a target whose addresses are known.
  [[nodiscard]] bool LookupIsSlow(Time now) const {
    return resolving_ && !addresses_.empty() && now >= lookup_began_ + options_.dns_patience;
  }

  void OnResolved(const Result<std::vector<Tcp::endpoint>>& found) {
    resolving_ = false;
    const Time now = std::chrono::steady_clock::now();
    if (found) {
      std::vector<Address> fresh;
      for (const Tcp::endpoint& endpoint : *found) {
        const auto known = std::find_if(addresses_.begin(), addresses_.end(),
                                        [&](const Address& a) { return a.endpoint == endpoint; });
        fresh.push_back({endpoint, known == addresses_.end() ? Time{} : known->avoid_until});
      }
      addresses_ = std::move(fresh);
    }
    // With an old answer the lookup may fail and work goes on.
    if (!addresses_.empty()) resolve_again_ = now + options_.dns_fresh;
    for (HttpConnection* c : std::exchange(waiting_, {})) {
      if (addresses_.empty()) {
        OnLoss(*c, {.unreachable = true, .message = found.error().message});
      } else {
        c->StartNew(Addresses(now), JobOf(c->slot).deadline, now);
      }
    }
  }

  boost::asio::io_context& io_;
  const Renderer renderer_;
  Credentials credentials_;
  const OutcomeMap outcomes_;
  const HttpSenderOptions options_;
  const Target::Done done_;

  std::deque<HttpConnection> connections_;  // never shrinks; as many as were ever busy together
  std::deque<HttpConnection*>
      free_;  // not busy: first those without a socket, last what was used last
  std::vector<HttpConnection*> waiting_;  // for the name lookup
  std::vector<Job> jobs_;                 // by slot

  const std::unique_ptr<Resolver> own_resolver_;
  Resolver& resolver_;
  bool resolving_ = false;
  Time lookup_began_{};
  bool literal_ = false;  // the host is an address: nothing to look up
  std::vector<Address> addresses_;
  std::size_t next_address_ = 0;
  Time resolve_again_{};
  Time no_reuse_until_{};
  Duration no_reuse_for_{};
  std::mt19937_64 random_;
};

Result<HttpSender> HttpSender::Create(boost::asio::io_context& io, const WriteRequest& request,
                                      const OutcomeMap& outcomes, const HttpSenderOptions& options,
                                      Target::Done done) {
  return HttpSender(TRY(Impl::Create(io, request.renderer(), outcomes, options, std::move(done))));
}

Result<HttpSender> HttpSender::Create(boost::asio::io_context& io, const SafeRequest& request,
                                      const OutcomeMap& outcomes, const HttpSenderOptions& options,
                                      Target::Done done) {
  return HttpSender(TRY(Impl::Create(io, request.renderer(), outcomes, options, std::move(done))));
}

HttpSender::HttpSender(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpSender::HttpSender(HttpSender&&) noexcept = default;
HttpSender& HttpSender::operator=(HttpSender&&) noexcept = default;
HttpSender::~HttpSender() = default;

void HttpSender::Send(const Dispatch& dispatch, Time now) { impl_->Send(dispatch, now); }
void HttpSender::Tick(Time now) { impl_->Tick(now); }
void HttpSender::Withdraw() { impl_->Withdraw(); }

}  // namespace backfill::worker
