#include "operator/coordinator/front_door.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <set>
#include <thread>

#include "base/mutex.h"

namespace backfill::coordinator {
namespace {

using namespace std::chrono_literals;

class FrontDoorTest : public ::testing::Test {
 protected:
  ~FrontDoorTest() override {
    door_.reset();
    for (const int fd : taken_) close(fd);
    for (const int fd : ours_) close(fd);
  }
  void Open(const ConnectionLimits& limits, const std::string& address = "127.0.0.1:0") {
    door_ = std::make_unique<FrontDoor>(limits, [this](int fd) {
      MutexLock l(mu_);
      taken_.insert(fd);
    });
    const Status listening = door_->Listen(address);
    ASSERT_TRUE(listening.ok()) << listening.error().message;
    door_->Open();
  }
  // A connection from that address of loopback.
  int Dial(const char* from = "127.0.0.1") {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in source{}, at{};
    source.sin_family = at.sin_family = AF_INET;
    inet_pton(AF_INET, from, &source.sin_addr);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at.sin_port = htons(static_cast<std::uint16_t>(door_->port()));
    EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&source), sizeof source), 0);
    EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
    ours_.push_back(fd);
    return fd;
  }
  // It was closed at the other end. Not: nothing is said for a while.
  static bool IsTurnedAway(int fd) {
    timeval patience{.tv_sec = 10, .tv_usec = 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    char byte = 0;
    const auto got = recv(fd, &byte, 1, 0);
    return got == 0 || (got < 0 && errno == ECONNRESET);
  }
  std::size_t taken() {
    MutexLock l(mu_);
    return taken_.size();
  }
  bool Takes(std::size_t connections) {
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (taken() < connections && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(1ms);
    }
    return taken() == connections;
  }
  // Taken, or turned away.
  bool IsDecided(int fd, std::size_t taken_before) {
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (std::chrono::steady_clock::now() < deadline) {
      char byte = 0;
      const ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);
      if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK)) return true;
      if (taken() > taken_before) return true;
      std::this_thread::sleep_for(1ms);
    }
    return false;
  }
  // As the server closes one of its own.
  void LetOneGo() {
    MutexLock l(mu_);
    close(*taken_.begin());
    taken_.erase(taken_.begin());
  }

  Mutex mu_;
  std::set<int> taken_ GUARDED_BY(mu_);
  std::vector<int> ours_;
  std::unique_ptr<FrontDoor> door_;
};

TEST_F(FrontDoorTest, AnAddressHasSoManyConnectionsAndOthersAreNotKeptOut) {
  Open({.all = 100, .of_an_address = 3});
  for (int i = 0; i < 3; ++i) Dial("127.0.0.2");
  ASSERT_TRUE(Takes(3));
  EXPECT_TRUE(IsTurnedAway(Dial("127.0.0.2")));
  EXPECT_EQ(door_->turned_away(), 1u);
  Dial("127.0.0.3");
  EXPECT_TRUE(Takes(4));
}

TEST_F(FrontDoorTest, AllAddressesTogetherHaveSoMany) {
  Open({.all = 4, .of_an_address = 3});
  for (const char* from : {"127.0.0.2", "127.0.0.2", "127.0.0.3", "127.0.0.3"}) Dial(from);
  ASSERT_TRUE(Takes(4));
  EXPECT_TRUE(IsTurnedAway(Dial("127.0.0.4")));
}

TEST_F(FrontDoorTest, WhoseConnectionHasEndedMayComeAgain) {
  Open({.all = 100, .of_an_address = 3});
  for (int round = 0; round < 20; ++round) {
    while (taken() < 3) {  // it may not have been seen yet that there is room
      const std::size_t before = taken();
      const int fd = Dial();
      ASSERT_TRUE(IsDecided(fd, before));
    }
    LetOneGo();
  }
  EXPECT_EQ(taken(), 2u);
}

TEST_F(FrontDoorTest, ADescriptorThatIsUsedForSomethingElseIsNoConnection) {
  Open({.all = 100, .of_an_address = 1});
  Dial();
  ASSERT_TRUE(Takes(1));
  LetOneGo();
  const int file = open("/dev/null", O_RDONLY | O_CLOEXEC);  // takes the number, most likely
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (taken() == 0 && std::chrono::steady_clock::now() < deadline) {
    Dial();
    std::this_thread::sleep_for(20ms);
  }
  EXPECT_EQ(taken(), 1u);
  close(file);
}

TEST_F(FrontDoorTest, ListensOnBothFamiliesWhereItIsToldAllAddresses) {
  Open({}, "0.0.0.0:0");
  Dial();
  EXPECT_TRUE(Takes(1));
  const int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in6 at{};
  at.sin6_family = AF_INET6;
  at.sin6_addr = in6addr_loopback;
  at.sin6_port = htons(static_cast<std::uint16_t>(door_->port()));
  const bool there = connect(fd, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0;
  ours_.push_back(fd);
  if (!there) GTEST_SKIP() << "no IPv6 here";
  EXPECT_TRUE(Takes(2));
}

TEST_F(FrontDoorTest, SaysWhyItCannotListen) {
  Open({});
  FrontDoor second({}, [](int) {});
  EXPECT_EQ(second.Listen("127.0.0.1:" + std::to_string(door_->port())).error().code,
            ErrorCode::kUnavailable);
  for (const char* wrong : {"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http", "[::1:0"}) {
    EXPECT_EQ(second.Listen(wrong).error().code, ErrorCode::kInvalid) << wrong;
  }
}

TEST_F(FrontDoorTest, APortIsFreeOnceItHasStopped) {
  Open({});
  const std::string address = "127.0.0.1:" + std::to_string(door_->port());
  door_->Stop();
  door_->Stop();
  FrontDoor second({}, [](int) {});
  EXPECT_TRUE(second.Listen(address).ok());
}

}  // namespace
}  // namespace backfill::coordinator
