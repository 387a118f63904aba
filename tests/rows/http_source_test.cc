#include "rows/http_source.h"

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "file_server.h"
#include "rows/file_plan.h"
#include "rows/open_source.h"
#include "rows/shard_reader.h"

namespace backfill::rows {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string NumberedLines() {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += "key-" + std::to_string(i) + "\n";
  return text;
}

class HttpSourceTest : public ::testing::Test {
 protected:
  Result<std::unique_ptr<ByteSource>> Open(const std::string& url) {
    return HttpSource::Open(url, options_, {});
  }
  static Result<std::string> ReadFrom(ByteSource& source, std::uint64_t offset = 0,
                                      std::uint64_t length = kToTheEnd) {
    const auto stream = TRY(source.Open(offset, length, {}));
    std::string text;
    std::vector<char> buffer(100'000);
    for (;;) {
      const std::size_t n = TRY(stream->Read(buffer, {}));
      if (n == 0) return text;
      text.append(buffer.data(), n);
    }
  }

  const std::string text_ = NumberedLines();
  FileServer server_{text_};
  HttpOptions options_{.retries = 2, .backoff = std::chrono::milliseconds(1)};
};

TEST_F(HttpSourceTest, ReadsRangesOverOneConnection) {
  const auto source = *Open(server_.Url());
  EXPECT_TRUE(source->seekable());
  EXPECT_EQ(source->stored_bytes(), text_.size());
  EXPECT_EQ(*ReadFrom(*source), text_);
  EXPECT_EQ(*ReadFrom(*source, 500'000, 1'000), text_.substr(500'000, 1'000));
  EXPECT_EQ(*ReadFrom(*source, text_.size() - 5), text_.substr(text_.size() - 5));
  EXPECT_EQ(*ReadFrom(*source, text_.size() + 5), "");
  EXPECT_EQ(server_.connections(), 1);
}

TEST_F(HttpSourceTest, StreamsFromTheFrontWhereThereAreNoRanges) {
  server_.WithoutRanges();
  const auto source = *Open(server_.Url());
  EXPECT_FALSE(source->seekable());
  EXPECT_EQ(source->stored_bytes(), text_.size());
  EXPECT_EQ(*ReadFrom(*source), text_);
  EXPECT_EQ(*ReadFrom(*source, 500'000, 1'000), text_.substr(500'000, 1'000));
}

TEST_F(HttpSourceTest, ReadsABodyOfUnknownLength) {
  server_.WithoutRanges();
  server_.WithoutLength();
  const auto source = *Open(server_.Url());
  EXPECT_EQ(source->stored_bytes(), std::nullopt);
  EXPECT_EQ(*ReadFrom(*source), text_);
}

TEST_F(HttpSourceTest, AnEmptyFileIsEmpty) {
  server_.Become("", "\"two\"");
  EXPECT_EQ(*ReadFrom(**Open(server_.Url())), "");
  server_.WithoutRanges();
  EXPECT_EQ(*ReadFrom(**Open(server_.Url())), "");
}

TEST_F(HttpSourceTest, TriesAgainWhatMayPass) {
  server_.AnswerNext({503, 0});
  const auto source = Open(server_.Url());
  ASSERT_TRUE(source.ok()) << source.error().message;
  server_.AnswerNext({429, 500});
  EXPECT_EQ(*ReadFrom(**source), text_);
  server_.AnswerNext({500, 500, 500});
  EXPECT_EQ(ReadFrom(**source).error().code, ErrorCode::kUnavailable);
}

TEST_F(HttpSourceTest, GoesOnWhereABodyBroke) {
  const auto source = *Open(server_.Url());
  server_.CutNext({1'000, 0, 200'000, 5});
  EXPECT_EQ(*ReadFrom(*source), text_);
  server_.WithoutRanges();
  const auto streamed = *Open(server_.Url());
  server_.CutNext({1'000, 300'000});
  EXPECT_EQ(*ReadFrom(*streamed), text_);
}

TEST_F(HttpSourceTest, SaysWhatTheServerSaid) {
  for (const auto& [status, code] :
       std::vector<std::pair<int, ErrorCode>>{{404, ErrorCode::kNotFound},
                                              {401, ErrorCode::kUnauthenticated},
                                              {403, ErrorCode::kPermission},
                                              {400, ErrorCode::kPermission}}) {
    server_.AnswerNext({status});
    const auto source = Open(server_.Url());
    ASSERT_FALSE(source.ok());
    EXPECT_EQ(source.error().code, code);
    EXPECT_THAT(source.error().message, HasSubstr("the server answered " + std::to_string(status)));
  }
  EXPECT_EQ(Open("ftp://127.0.0.1/x").error().code, ErrorCode::kInvalid);
}

TEST_F(HttpSourceTest, NeverShowsCredentials) {
  server_.AnswerNext({404});
  std::string url = server_.Url("/file?token=secret");
  url.insert(7, "user:password@");
  const auto source = Open(url);
  EXPECT_THAT(source.error().message, HasSubstr("/file"));
  EXPECT_THAT(source.error().message, Not(HasSubstr("password")));
  EXPECT_THAT(source.error().message, Not(HasSubstr("secret")));
}

TEST_F(HttpSourceTest, NoticesAnotherVersion) {
  const auto source = *Open(server_.Url());
  server_.Become(text_, "\"two\"");
  EXPECT_EQ(ReadFrom(*source).error().code, ErrorCode::kConflict);
  server_.Become(text_ + "more\n", "\"one\"");
  EXPECT_EQ(ReadFrom(*source, 10, 10).error().code, ErrorCode::kConflict);
}

TEST_F(HttpSourceTest, FollowsARedirect) {
  server_.RedirectTo(server_.Url("/file"));
  EXPECT_EQ(*ReadFrom(**Open(server_.Url("/moved"))), text_);
  server_.RedirectTo("file:///etc/passwd");
  EXPECT_FALSE(Open(server_.Url("/moved")).ok());
  server_.RedirectTo(server_.Url("/moved"));  // for ever
  EXPECT_FALSE(Open(server_.Url("/moved")).ok());
}

TEST_F(HttpSourceTest, DoesNotReadAheadOfItsReader) {
  server_.Become(std::string(64 << 20, 'x'), "\"large\"");
  const auto source = *Open(server_.Url());
  const auto stream = *source->Open(0, kToTheEnd, {});
  std::vector<char> buffer(1'000);
  for (int i = 0; i < 20; ++i) ASSERT_GT(*stream->Read(buffer, {}), 0U);
  // What is on its way is bounded by the buffers of the two sockets.
  EXPECT_LT(server_.sent(), 32U << 20);
}

TEST_F(HttpSourceTest, StopsWhileItWaits) {
  const auto source = *Open(server_.Url());
  const auto stream = *source->Open(0, kToTheEnd, {});
  server_.HangNext();
  std::stop_source stop;
  std::jthread stopper([&] {
    while (server_.requests() < 2) std::this_thread::yield();
    stop.request_stop();
  });
  std::vector<char> buffer(1'000);
  EXPECT_EQ(stream->Read(buffer, stop.get_token()).error().code, ErrorCode::kAborted);
}

TEST_F(HttpSourceTest, IsPlannedAndReadLikeAFile) {
  for (const bool ranges : {true, false}) {
    if (!ranges) server_.WithoutRanges();
    const auto source = *OpenSource(server_.Url(), options_, {});
    const auto plan = PlanFile(*source, {}, {.records_per_shard = 30'000}, {});
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    EXPECT_EQ(plan->records, 100'000U);
    const auto reader = *ShardReader::Open(*source, {}, plan->shape, {});
    for (const std::size_t shard : {2U, 0U, 3U, 1U}) {
      LoadedShard loaded = *reader->Load(plan->shards[shard], {});
      EXPECT_EQ((*loaded.Next())->key, "key-" + std::to_string(30'000 * shard));
    }
    server_.Become(text_.substr(1) + "x", "\"three\"");
    EXPECT_EQ(reader->Load(plan->shards[0], {}).error().code, ErrorCode::kConflict);
    server_.Become(text_, "\"one\"");
  }
}

TEST(OpenSourceTest, RefusesWhatIsNoFile) {
  EXPECT_EQ(OpenSource("/nowhere/ids.csv", {}, {}).error().code, ErrorCode::kNotFound);
  EXPECT_THAT(OpenSource("/", {}, {}).error().message, HasSubstr("is a directory"));
  EXPECT_THAT(OpenSource("/dev/null", {}, {}).error().message, HasSubstr("not a regular file"));
}

}  // namespace
}  // namespace backfill::rows
