#include <sys/socket.h>

#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "tests/operator/kube/client/rest_fixture.h"
#include "tests/worker/target/raw_server.h"

namespace backfill::kube {
namespace {

using fakes::RawServer;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

class RestStreamTest : public RawServerFixture {
 protected:
  std::vector<std::string> lines_;
  std::atomic<int> lines_seen_{0};
};

TEST_F(RestStreamTest, R7_LinesEndAtNewlinesAcrossChunksAndInsideCharacters) {
  ServeText(std::string(kChunkedHead) + Chunk("one\ntw") + Chunk("o\r\n") + Chunk("\xc3") +
            Chunk("\xa4\n\nlast\ncut") + "0\r\n\r\n");
  const auto end = Collect(lines_);
  ASSERT_TRUE(end.ok()) << end.error().message;
  EXPECT_EQ(end->status, 200);
  EXPECT_EQ(end->body, "");
  EXPECT_THAT(lines_, ElementsAre("one", "two", "\xc3\xa4", "", "last"));
}

TEST_F(RestStreamTest, ALineComesAsSoonAsItIsComplete) {
  std::atomic<int> seen{0};
  Serve([&](int fd, const std::string&, int) {
    RawServer::Say(fd, kChunkedHead);
    for (int i = 1; i <= 3; ++i) {
      RawServer::Say(fd, Chunk("line\n"));
      EXPECT_TRUE(Eventually([&] { return seen == i; }));
    }
    return RawServer::Say(fd, "0\r\n\r\n");
  });
  EXPECT_TRUE(Stream([&](std::string_view) { return ++seen, true; }).ok());
  EXPECT_EQ(seen, 3);
  Close();
}

TEST_F(RestStreamTest, WhatIsNotA200IsAResponse) {
  ServeText(Reply(R"({"kind":"Status","code":410})", "Retry-After: 2\r\n", "410 Gone"));
  const auto gone = Collect(lines_);
  ASSERT_TRUE(gone.ok());
  EXPECT_EQ(gone->status, 410);
  EXPECT_EQ(gone->body, R"({"kind":"Status","code":410})");
  EXPECT_EQ(gone->retry_after, seconds(2));
  EXPECT_THAT(lines_, IsEmpty());
}

TEST_F(RestStreamTest, R7_ALineLongerThanAllowedEndsIt) {
  ServeText(std::string(kChunkedHead) + Chunk("short\n" + std::string(101, 'x') + "\n") +
            "0\r\n\r\n");
  EXPECT_EQ(FailsWith(Collect(lines_, seconds(5), 100), ErrorCode::kInvalid, "100 bytes"), "");
  EXPECT_THAT(lines_, ElementsAre("short"));
  // Also one that never ends.
  Serve([](int fd, const std::string&, int) {
    RawServer::Say(fd, kChunkedHead);
    while (RawServer::Say(fd, Chunk(std::string(1000, 'x')))) {
    }
    return false;
  });
  EXPECT_EQ(FailsWith(Collect(lines_, seconds(5), 100'000), ErrorCode::kInvalid, "line"), "");
}

TEST_F(RestStreamTest, AConnectionThatIsLostIsNoEnd) {
  for (const std::string& tail : {std::string(), std::string("7\r\nab"), Chunk("two\n")}) {
    lines_.clear();
    ServeText(std::string(kChunkedHead) + Chunk("one\n") + tail);
    EXPECT_EQ(FailsWith(Collect(lines_), ErrorCode::kUnavailable), "");
    EXPECT_EQ(lines_.at(0), "one");
  }
}

TEST_F(RestStreamTest, R2_ASilentStreamEndsAfterItsIdleTime) {
  Serve([](int fd, const std::string&, int number) {
    if (number > 1) RawServer::Say(fd, std::string(kChunkedHead) + Chunk("one\ntw"));
    HoldUntilClosed(fd);
    return false;
  });
  for (int i = 0; i < 2; ++i) {  // before the response, and within
    EXPECT_EQ(FailsWith(Collect(lines_, milliseconds(200)), ErrorCode::kDeadline), "");
    EXPECT_GE(took_, milliseconds(200));
    EXPECT_LT(took_, seconds(2));
  }
  EXPECT_THAT(lines_, ElementsAre("one"));
}

TEST_F(RestStreamTest, R2_AStreamEndsAtItsDeadlineHoweverLively) {
  Serve([](int fd, const std::string&, int) {
    RawServer::Say(fd, kChunkedHead);
    while (RawServer::Say(fd, Chunk("again\n"))) {
    }
    return false;
  });
  const auto result =
      Stream([](std::string_view) { return true; }, seconds(5), 1 << 20, milliseconds(300));
  EXPECT_EQ(FailsWith(result, ErrorCode::kDeadline), "");
  EXPECT_LT(took_, seconds(2));
}

TEST_F(RestStreamTest, StopsWhileItIsSilent) {
  Serve([this](int fd, const std::string&, int) {
    RawServer::Say(fd, std::string(kChunkedHead) + Chunk("one\n"));
    EXPECT_TRUE(Eventually([&] { return lines_seen_ == 1; }));
    stop_.request_stop();
    HoldUntilClosed(fd);
    return false;
  });
  EXPECT_EQ(
      FailsWith(Stream([&](std::string_view) { return ++lines_seen_, true; }), ErrorCode::kAborted),
      "");
  EXPECT_LT(took_, seconds(5));
}

TEST_F(RestStreamTest, EndsWhenItsReaderHasHadEnough) {
  Serve([](int fd, const std::string&, int) {
    RawServer::Say(fd, std::string(kChunkedHead) + Chunk("one\ntwo\nthree\n"));
    HoldUntilClosed(fd);
    return false;
  });
  const auto end = Stream([&](std::string_view line) {
    lines_.emplace_back(line);
    return lines_.size() < 2;
  });
  ASSERT_TRUE(end.ok());
  EXPECT_EQ(end->status, 200);
  EXPECT_THAT(lines_, ElementsAre("one", "two"));
}

TEST_F(RestStreamTest, R33_AReaderThatIsSlowHoldsBackTheServer) {
  std::atomic<bool> stalled{false};
  std::atomic<std::size_t> sent{0};
  Serve([&](int fd, const std::string&, int) {
    timeval patience{.tv_sec = 0, .tv_usec = 300'000};
    ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    RawServer::Say(fd, kChunkedHead);
    const std::string piece = Chunk(std::string(9'999, 'x') + "\n");
    while (sent < (std::size_t{256} << 20) && RawServer::Say(fd, piece)) sent += piece.size();
    stalled = true;
    return false;
  });
  std::size_t seen = 0;
  const auto end = Stream([&](std::string_view) {
    if (++seen == 1) {
      EXPECT_TRUE(Eventually([&] { return stalled.load(); }));
    }
    return true;
  });
  EXPECT_EQ(FailsWith(end, ErrorCode::kUnavailable), "");
  EXPECT_LT(sent, std::size_t{64} << 20);
  EXPECT_GT(seen, 1u);
  Close();
}

TEST_F(RestStreamTest, R34_StreamsDoNotWaitForOneAnotherNorDoRequestsForThem) {
  std::atomic<bool> release{false};
  server_.emplace([&](int fd, const std::string& request, int) {
    if (request.find("/watch") == std::string::npos) return RawServer::Say(fd, Reply("x"));
    RawServer::Say(fd, kChunkedHead);
    EXPECT_TRUE(Eventually([&] { return release.load(); }));
    return RawServer::Say(fd, "0\r\n\r\n");
  });
  Connect(server_->port(), {.max_requests = 1, .max_streams = 1});
  std::atomic<bool> ended{false};
  {
    const std::jthread first([&] {
      EXPECT_TRUE(transport_
                      ->Stream({.target = "/watch"},
                               {.deadline = clock_.Steady() + seconds(10), .idle = seconds(10)}, {},
                               [](std::string_view) { return true; })
                      .ok());
      ended = true;
    });
    ASSERT_TRUE(Eventually([&] { return server_->requests().size() == 1; }));
    EXPECT_EQ(FailsWith(Collect(lines_), ErrorCode::kUnavailable), "");
    EXPECT_TRUE(Get().ok());
    EXPECT_FALSE(ended);
    release = true;
  }
  EXPECT_TRUE(ended);
  Close();
}

}  // namespace
}  // namespace backfill::kube
