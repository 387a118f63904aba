#include "operator/identity/token_authenticator.h"

#include <atomic>
#include <condition_variable>
#include <thread>
#include <vector>

#include "tests/operator/identity/identity_bench.h"

namespace backfill::identity {
namespace {

using namespace std::chrono_literals;
using coordinator::WorkerIdentity;
using Made = IdentityBench::Made;
using Answer = Result<std::optional<WorkerIdentity>>;

// Collects what is said, from any thread.
class Answers {
 public:
  coordinator::Authenticator::Done Take() {
    return [this](Answer answer) {
      MutexLock l(mu_);
      all_.push_back(std::move(answer));
      changed_.notify_all();
    };
  }
  bool Await(std::size_t n) {
    MutexLock l(mu_);
    return changed_.wait_for(mu_, 30s, [&]() REQUIRES(mu_) { return all_.size() >= n; });
  }
  std::vector<Answer> all() {
    MutexLock l(mu_);
    return all_;
  }

 private:
  Mutex mu_;
  std::condition_variable_any changed_;
  std::vector<Answer> all_ GUARDED_BY(mu_);
};

class TokenAuthenticatorTest : public ::testing::Test, protected IdentityBench {
 protected:
  TokenAuthenticatorTest() {
    backfill_ = MakeBackfill("reprice");
    job_ = MakeJob(backfill_, "reprice-run");
    pod_ = MakePod(job_, 3);
    server_.AddToken("good", IdentityOf(pod_));
  }
  void Start() {
    LetCachesSee();
    server_.ForgetCalls();
    authenticator_.emplace(client_, directory_, clock_, options_);
    authenticator_->Start();
  }
  Answer Ask(const std::string& token) {
    Answers answers;
    authenticator_->Authenticate(token, "ipv4:10.0.0.7:1", answers.Take());
    if (!answers.Await(1)) return Error{ErrorCode::kDeadline, "no answer"};
    return answers.all().front();
  }
  // The worker that a token speaks for; or the refusal.
  std::string Told(const std::string& token) {
    const Answer answer = Ask(token);
    if (answer.ok()) return answer.value()->worker;
    return answer.error().message;
  }
  int Reviews() { return server_.Count({.verb = "create", .plural = "tokenreviews"}); }
  std::uint64_t Refused(Refusal why) {
    return authenticator_->counts().refused[static_cast<std::size_t>(why)];
  }

  Made backfill_, job_, pod_;
  TokenAuthenticatorOptions options_;
  std::optional<TokenAuthenticator> authenticator_;
};

TEST_F(TokenAuthenticatorTest, ATokenOfAWorkersPodSpeaksForThatWorker) {
  Start();
  const Answer answer = Ask("good");
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  EXPECT_EQ(answer.value()->stage.uid, backfill_.uid);
  EXPECT_EQ(answer.value()->worker, "run-3");
  EXPECT_EQ(answer.value()->instance, pod_.uid);
  EXPECT_EQ(authenticator_->counts().accepted, 1u);
}

// F18
TEST_F(TokenAuthenticatorTest, F18_WhatIsNoTokenOfAWorkerIsRefusedAndCounted) {
  server_.AddToken("elsewhere", IdentityOf(pod_, "https://kubernetes.default.svc"));
  fakes::FakeIdentity person;
  person.user = "jane";
  person.audiences = {kOurAudience};
  server_.AddToken("person", person);
  server_.AddToken("foreign", IdentityOf(MakePod({.name = "cron", .uid = "c"}, 0, "CronJob")));
  server_.AddToken("gone", IdentityOf({.name = "gone", .uid = "g"}));
  Start();
  EXPECT_EQ(Told("forged"), "not_authenticated");
  EXPECT_EQ(Told("elsewhere"), "not_authenticated");  // so a server says that it is not for us
  EXPECT_EQ(Told("person"), "no_pod");
  EXPECT_EQ(Told("foreign"), "not_our_worker");
  EXPECT_EQ(Told("gone"), "pod_gone");
  EXPECT_EQ(Told("not a token"), "malformed");
  EXPECT_EQ(Ask("forged").error().code, ErrorCode::kUnauthenticated);
  EXPECT_EQ(Ask("person").error().code, ErrorCode::kPermission);
  EXPECT_EQ(Refused(Refusal::kNotAuthenticated), 3u);
  EXPECT_EQ(Refused(Refusal::kNoPod), 2u);
  EXPECT_EQ(authenticator_->counts().accepted, 0u);
}

TEST_F(TokenAuthenticatorTest, WhatIsSaidOfATokenDoesNotHaveTheToken) {
  Start();
  server_.FailNext(1, fakes::Fault::Status(422, "Invalid", "spec.token: bad"),
                   {.plural = "tokenreviews"});
  for (const char* token : {"s3cret", "s3cret", "s3cret with a space"}) {
    const Answer answer = Ask(token);
    ASSERT_FALSE(answer.ok());
    EXPECT_EQ(answer.error().code, ErrorCode::kUnauthenticated);
    EXPECT_EQ(answer.error().message, "malformed");
  }
}

// F18: with the same token, after its pod is gone, within the minute for which it is known.
TEST_F(TokenAuthenticatorTest, F18_AReplayAfterThePodsEndIsRefused) {
  Start();
  EXPECT_EQ(Told("good"), "run-3");
  Delete(PodPath(pod_));
  LetCachesSee();
  EXPECT_EQ(Told("good"), "pod_gone");
  server_.RemoveToken("good");
  clock_.Advance(61s);
  EXPECT_EQ(Told("good"), "not_authenticated");
}

TEST_F(TokenAuthenticatorTest, ATokenIsReviewedOnceAMinuteAndOneThatIsRefusedEveryTenSeconds) {
  Start();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Told("good"), "run-3");
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Told("forged"), "not_authenticated");
  EXPECT_EQ(Reviews(), 2);
  clock_.Advance(11s);
  EXPECT_EQ(Told("forged"), "not_authenticated");
  EXPECT_EQ(Told("good"), "run-3");
  EXPECT_EQ(Reviews(), 3);
  clock_.Advance(50s);
  EXPECT_EQ(Told("good"), "run-3");
  EXPECT_EQ(Reviews(), 4);
}

TEST_F(TokenAuthenticatorTest, ATokenIsNotKnownPastItsOwnEnd) {
  // {"exp":1800000005}: five seconds from now.
  const std::string token = "e30.eyJleHAiOjE4MDAwMDAwMDV9.sig";
  server_.AddToken(token, IdentityOf(pod_));
  Start();
  EXPECT_EQ(Told(token), "run-3");
  clock_.Advance(6s);
  server_.RemoveToken(token);
  EXPECT_EQ(Told(token), "not_authenticated");
}

TEST_F(TokenAuthenticatorTest, APodThatTheCacheDoesNotHaveYetIsReadLiveAndOnlyThen) {
  Start();
  const Made late = MakePod(job_, 5);
  server_.AddToken("late", IdentityOf(late));
  EXPECT_EQ(Told("late"), "run-5");
  EXPECT_EQ(server_.Count({.verb = "get", .plural = "pods"}), 1);
  LetCachesSee();
  EXPECT_EQ(Told("late"), "run-5");
  EXPECT_EQ(server_.Count({.verb = "get", .plural = "pods"}), 1);
}

// Fails closed, and is not kept: the next one asks again.
TEST_F(TokenAuthenticatorTest, WithoutTheApiServerNobodyNewIsAcceptedAndNobodyRefusedForGood) {
  Start();
  server_.GoDown();
  EXPECT_EQ(Ask("good").error().code, ErrorCode::kUnavailable);
  server_.ComeBack();
  server_.FailNext(1, fakes::Fault::ForbiddenByRole(), {.plural = "tokenreviews"});
  EXPECT_EQ(Ask("good").error().code, ErrorCode::kUnavailable);
  server_.FailNext(1, fakes::Fault::TooManyRequests(1s), {.plural = "tokenreviews"});
  EXPECT_EQ(Ask("good").error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(Told("good"), "run-3");
}

TEST_F(TokenAuthenticatorTest, StreamsWithOneTokenWaitForOneReview) {
  options_.max_together = 10;
  Start();
  server_.Hold({.plural = "tokenreviews"});
  Answers answers;
  for (int i = 0; i < 10; ++i) authenticator_->Authenticate("good", "", answers.Take());
  ASSERT_TRUE(server_.AwaitHeld(1));
  authenticator_->Authenticate("good", "", answers.Take());  // one too many
  ASSERT_TRUE(answers.Await(1));
  EXPECT_EQ(answers.all().front().error().code, ErrorCode::kUnavailable);
  server_.Release();
  ASSERT_TRUE(answers.Await(11));
  EXPECT_EQ(Reviews(), 1);
  EXPECT_EQ(authenticator_->counts().accepted, 10u);
}

TEST_F(TokenAuthenticatorTest, AFloodOfTokensWaitsInABoundedQueueAndTheRestComesBackLater) {
  options_.threads = 2;
  options_.max_waiting = 10;
  Start();
  server_.Hold({.plural = "tokenreviews"});
  Answers answers;
  for (int i = 0; i < 2; ++i)
    authenticator_->Authenticate("flood-" + std::to_string(i), "", answers.Take());
  ASSERT_TRUE(server_.AwaitHeld(2));
  for (int i = 2; i < 1000; ++i)
    authenticator_->Authenticate("flood-" + std::to_string(i), "", answers.Take());
  ASSERT_TRUE(answers.Await(988));
  EXPECT_EQ(Refused(Refusal::kOverloaded), 988u);
  server_.Release();
  ASSERT_TRUE(answers.Await(1000));
  EXPECT_EQ(Reviews(), 12);
  EXPECT_EQ(Refused(Refusal::kNotAuthenticated), 12u);
}

// F22
TEST_F(TokenAuthenticatorTest, F22_AThousandWorkersComeTogetherWithOneReviewEachAndAgainWithNone) {
  constexpr int kWorkers = 1000;
  std::vector<std::string> tokens;
  const Made second = MakeJob(backfill_, "reprice-run-1", "run", "1");
  for (int i = 0; i < kWorkers; ++i) {
    const Made pod = MakePod(i < 500 ? job_ : second, i % 500);
    tokens.push_back("token-" + std::to_string(i));
    server_.AddToken(tokens.back(), IdentityOf(pod));
  }
  Start();
  const auto all_come = [&] {
    Answers answers;
    for (const std::string& token : tokens) authenticator_->Authenticate(token, "", answers.Take());
    EXPECT_TRUE(answers.Await(kWorkers));
  };
  all_come();
  EXPECT_EQ(Reviews(), kWorkers);
  EXPECT_EQ(authenticator_->counts().accepted, static_cast<std::uint64_t>(kWorkers));
  all_come();
  all_come();
  EXPECT_EQ(Reviews(), kWorkers);
  EXPECT_EQ(authenticator_->counts().accepted, static_cast<std::uint64_t>(3 * kWorkers));
  EXPECT_EQ(server_.Count({.verb = "get"}), 0);
}

TEST_F(TokenAuthenticatorTest, WhoeverWaitsAtTheEndIsToldToComeBack) {
  options_.threads = 1;
  Start();
  server_.Hold({.plural = "tokenreviews"});
  Answers answers;
  authenticator_->Authenticate("good", "", answers.Take());
  ASSERT_TRUE(server_.AwaitHeld(1));
  authenticator_->Authenticate("other", "", answers.Take());
  authenticator_->Stop();
  authenticator_->Authenticate("third", "", answers.Take());
  ASSERT_TRUE(answers.Await(3));
  for (const Answer& answer : answers.all())
    EXPECT_EQ(answer.error().code, ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace backfill::identity
