#include "worker/target/dry_run_target.h"

#include <type_traits>
#include <utility>

#include <boost/asio/io_context.hpp>

#include "tests/worker/sink.h"

namespace backfill::worker {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

// What a dry run is made of cannot become a write: this is the guarantee, and it is the compiler's.
static_assert(!std::is_constructible_v<WriteRequest, Renderer>);
static_assert(!std::is_constructible_v<WriteRequest, SafeRequest>);
static_assert(!std::is_default_constructible_v<WriteRequest>);
static_assert(!std::is_constructible_v<HttpSender, boost::asio::io_context&, Renderer, OutcomeMap,
                                       HttpSenderOptions, Target::Done>);

class DryRunTargetTest : public ::testing::Test {
 protected:
  DryRunTargetTest() { sink_.Start(); }

  RequestTemplate Request(const std::string& method, const std::string& path) const {
    return {.method = method,
            .url = "http://127.0.0.1:" + std::to_string(sink_.port()) + path,
            .headers = {{"Authorization", "Bearer s3cret"}},
            .body = method == "GET" ? "" : "{{record}}"};
  }
  Result<std::unique_ptr<DryRunTarget>> Make(const std::optional<DryRunTarget::Probe>& probe) {
    return DryRunTarget::Create(
        io_, Request("POST", "/r/{{key}}"), probe,
        {.backfill_name = "b", .backfill_uid = "u", .fields = {}, .numeric_keys = true},
        OutcomeMap(), {}, [this](std::uint32_t slot, BatchResult r) { results_[slot] = r; });
  }
  void Send(DryRunTarget& target, std::uint32_t slot, std::int32_t shard = 0) {
    records_[slot] = {{.position = slot, .key = std::to_string(slot)}};
    target.Send({slot, ShardId{shard}, &records_[slot]}, std::chrono::steady_clock::now());
    const Time until = std::chrono::steady_clock::now() + 5s;
    while (!results_.contains(slot) && std::chrono::steady_clock::now() < until) {
      io_.restart();
      io_.run_for(5ms);
    }
  }

  boost::asio::io_context io_{1};
  fakes::Sink sink_{fakes::SinkOptions{.bitmap = 1000}};
  std::map<std::uint32_t, std::vector<Record>> records_;
  std::map<std::uint32_t, BatchResult> results_;
};

TEST_F(DryRunTargetTest, SendsNothingAndCountsRecordsAsUnchanged) {
  auto target = Make(std::nullopt);
  ASSERT_TRUE(target.ok());
  for (std::uint32_t i = 0; i < 100; ++i) Send(**target, i);
  ASSERT_THAT(results_, SizeIs(100));
  for (const auto& [slot, r] : results_) EXPECT_EQ(r.verdict.outcome, Outcome::kUnchanged);
  EXPECT_EQ(sink_.stats().requests, 0u);
}

TEST_F(DryRunTargetTest, KeepsTheFirstRequestsAndSomeOfOtherShards) {
  auto target = Make(std::nullopt);
  ASSERT_TRUE(target.ok());
  for (std::uint32_t i = 0; i < 50; ++i) Send(**target, i, 0);
  for (std::uint32_t i = 50; i < 90; ++i) Send(**target, i, static_cast<std::int32_t>(i));
  const auto samples = (*target)->TakeSamples();
  ASSERT_THAT(samples, SizeIs(20));
  EXPECT_EQ(samples[9].key, "9");
  EXPECT_EQ(samples[11].key, "50");
  EXPECT_THAT(samples[0].request, StartsWith("POST http://127.0.0.1:"));
  EXPECT_THAT(samples[0].request, EndsWith("\n\n{\"key\":0}"));
  EXPECT_THAT(samples[0].request, Not(HasSubstr("s3cret")));
  EXPECT_THAT((*target)->TakeSamples(), SizeIs(0));
}

TEST_F(DryRunTargetTest, SendsTheProbeThatWasDeclaredAndNothingElse) {
  auto target = Make(DryRunTarget::Probe{Request("GET", "/r/{{key}}"), DeclaredEffects::kUnknown});
  ASSERT_TRUE(target.ok());
  Send(**target, 7);
  EXPECT_EQ(results_[7].verdict.outcome, Outcome::kUpdated);
  EXPECT_EQ(sink_.stats().requests, 1u);
}

TEST_F(DryRunTargetTest, RefusesAProbeThatCouldChangeSomething) {
  const auto post =
      Make(DryRunTarget::Probe{Request("POST", "/r/{{key}}"), DeclaredEffects::kUnknown});
  ASSERT_FALSE(post.ok());
  EXPECT_EQ(post.error().code, ErrorCode::kInvalid);
  EXPECT_TRUE(Make(DryRunTarget::Probe{Request("POST", "/validate"), DeclaredEffects::kNone}).ok());
  EXPECT_TRUE(
      Make(DryRunTarget::Probe{Request("HEAD", "/r/{{key}}"), DeclaredEffects::kUnknown}).ok());
}

TEST_F(DryRunTargetTest, ShowsWhatCouldNotBeRendered) {
  RequestTemplate request = Request("POST", "/x");
  request.headers = {{"X-Key", "{{key}}"}};
  auto target =
      DryRunTarget::Create(io_, request, std::nullopt, {}, OutcomeMap(), {},
                           [this](std::uint32_t slot, BatchResult r) { results_[slot] = r; });
  ASSERT_TRUE(target.ok());
  const std::vector<Record> bad = {{.position = 0, .key = "a\nb"}};
  (*target)->Send({0, ShardId{0}, &bad}, Time{});
  EXPECT_EQ(results_[0].verdict.failure, FailureClass::kPermanent);
}

TEST_F(DryRunTargetTest, RendersTheRealRequestAlsoWhereAProbeIsSent) {
  RequestTemplate request = Request("POST", "/x");
  request.headers = {{"X-Key", "{{key}}"}};
  auto target = DryRunTarget::Create(
      io_, request, DryRunTarget::Probe{Request("GET", "/r/1"), DeclaredEffects::kUnknown}, {},
      OutcomeMap(), {}, [this](std::uint32_t slot, BatchResult r) { results_[slot] = r; });
  ASSERT_TRUE(target.ok());
  const std::vector<Record> bad = {{.position = 0, .key = "a\nb"}};
  (*target)->Send({0, ShardId{0}, &bad}, std::chrono::steady_clock::now());
  ASSERT_TRUE(results_.contains(0));
  EXPECT_EQ(results_[0].verdict.failure, FailureClass::kPermanent);
  EXPECT_EQ(sink_.stats().requests, 0u);
}

}  // namespace
}  // namespace backfill::worker
