#include "tests/worker/sink.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

namespace backfill::fakes {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// Asks a sink as anybody would, over a connection for each request.
class SinkTest : public testing::Test {
 protected:
  SinkTest() { sink_.Start(); }
  std::string Ask(const std::string& path) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const timeval patience{.tv_sec = 10, .tv_usec = 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(sink_.port()));
    // NOLINTNEXTLINE: the socket API's own cast
    EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    const std::string request = "POST " + path + " HTTP/1.1\r\nContent-Length: 0\r\n\r\n";
    EXPECT_EQ(::send(fd, request.data(), request.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(request.size()));
    std::string answer(16 * 1024, '\0');
    const ssize_t n = ::recv(fd, answer.data(), answer.size(), 0);
    answer.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    ::close(fd);
    return answer;
  }

  Sink sink_{{.bitmap = 10}};
};

TEST_F(SinkTest, WhatItTellsOfItsTrafficIsThatOfTheRecords) {
  Ask("/r/1");
  Ask("/r/2");
  EXPECT_THAT(Ask("/metrics"), HasSubstr("\nhttp_requests_total{code=\"200\"} 2\n"));
  EXPECT_THAT(Ask("/stats"), HasSubstr("\"distinct\":2"));
}

TEST_F(SinkTest, LeversAreFollowed) {
  EXPECT_THAT(Ask("/levers?serves=0&fail_every=1"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(Ask("/r/3"), StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(Ask("/levers?fail_every=0"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(Ask("/r/3"), StartsWith("HTTP/1.1 200"));
}

TEST_F(SinkTest, AnythingElseIsNoLeverAndChangesNothing) {
  for (const char* levers : {"/levers?speed=1", "/levers?fail_every", "/levers?fail_every=-1",
                             "/levers?fail_every=1&x=2", "/levers?fail_every=1e9"}) {
    EXPECT_THAT(Ask(levers), StartsWith("HTTP/1.1 400")) << levers;
  }
  EXPECT_THAT(Ask("/r/1"), StartsWith("HTTP/1.1 200"));
}

TEST_F(SinkTest, WhatItRefusesForWantOfCapacityDoesNotCount) {
  Ask("/levers?serves=1&foreground=10000");  // what waits is seconds within a moment
  bool full = false;
  for (int i = 0; i < 1000 && !full; ++i)
    full = Ask("/metrics").find("\nservice_queue_seconds 2") != std::string::npos;
  ASSERT_TRUE(full);
  EXPECT_THAT(Ask("/r/7"), StartsWith("HTTP/1.1 503"));
  EXPECT_EQ(sink_.TimesSeen(7), 0);
}

}  // namespace
}  // namespace backfill::fakes
