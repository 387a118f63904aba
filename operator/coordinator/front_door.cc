#include "operator/coordinator/front_door.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <system_error>
#include <utility>

#include "base/log.h"

namespace backfill::coordinator {
namespace {

using namespace std::chrono_literals;

constexpr Duration kSweepEvery = 1s;
// Where there is no room, it is looked again, no more often than this.
constexpr Duration kSweepGap = 100ms;
constexpr int kAcceptsInARow = 64;
constexpr int kPollMillis = 100;  // for which Stop() waits at most

std::string Message(int error) { return std::generic_category().message(error); }

struct FreeAddresses {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

Result<std::pair<std::string, std::string>> HostAndPort(const std::string& address) {
  const auto colon = address.rfind(':');
  if (colon == std::string::npos || colon + 1 == address.size())
    return Error{ErrorCode::kInvalid, "no port in the address " + address};
  std::string host = address.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  return std::pair{host, address.substr(colon + 1)};
}

Result<Addresses> Resolve(const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int failed =
      getaddrinfo(host.empty() ? nullptr : host.c_str(), port.c_str(), &hints, &found);
  if (failed != 0) {
    return Error{ErrorCode::kInvalid,
                 "cannot listen on " + host + ":" + port + ": " + gai_strerror(failed)};
  }
  return Addresses(found);
}

// -1: not there; errno says why.
int ListenOn(const addrinfo& at) {
  const int fd = socket(at.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  const int on = 1, off = 0;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (at.ai_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  if (bind(fd, at.ai_addr, at.ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0) return fd;
  const int error = errno;
  close(fd);
  errno = error;
  return -1;
}

int PortOf(int fd) {
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size) != 0) return 0;  // NOLINT
  char port[NI_MAXSERV] = {};
  if (getnameinfo(reinterpret_cast<sockaddr*>(&bound), size, nullptr, 0, port,
                  sizeof port,  // NOLINT
                  NI_NUMERICSERV) != 0)
    return 0;
  return std::atoi(port);  // NOLINT: digits
}

std::string AddressOf(const sockaddr_storage& peer, socklen_t size) {
  char host[NI_MAXHOST] = {};
  if (getnameinfo(reinterpret_cast<const sockaddr*>(&peer), size, host, sizeof host,  // NOLINT
                  nullptr, 0, NI_NUMERICHOST) != 0)
    return "";
  return host;
}

// 0: there is nothing behind it.
std::uint64_t InodeOf(int fd) {
  struct stat found{};
  return fstat(fd, &found) == 0 && S_ISSOCK(found.st_mode) ? found.st_ino : 0;
}

}  // namespace

FrontDoor::FrontDoor(const ConnectionLimits& limits, Take take)
    : limits_(limits), take_(std::move(take)) {}

FrontDoor::~FrontDoor() { Stop(); }

Status FrontDoor::Listen(const std::string& address) {
  const auto [host, port] = TRY(HostAndPort(address));
  // gRPC listens on all addresses of both families, too, when it is told those of one.
  const bool all = host.empty() || host == "0.0.0.0" || host == "::";
  if (all) {
    const Addresses both = TRY(Resolve("::", port));
    socket_ = ListenOn(*both);
  }
  if (socket_ < 0) {
    const Addresses found = TRY(Resolve(all ? "0.0.0.0" : host, port));
    socket_ = ListenOn(*found);
  }
  if (socket_ < 0)
    return Error{ErrorCode::kUnavailable, "cannot listen on " + address + ": " + Message(errno)};
  port_ = PortOf(socket_);
  return Ok{};
}

void FrontDoor::Open() {
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
  pthread_setname_np(thread_.native_handle(), "bf-front-door");
}

void FrontDoor::Stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
  if (socket_ >= 0) close(std::exchange(socket_, -1));
}

void FrontDoor::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    pollfd at{.fd = socket_, .events = POLLIN, .revents = 0};
    const bool waiting = poll(&at, 1, kPollMillis) > 0;
    const Time now = std::chrono::steady_clock::now();
    if (now - swept_ >= kSweepEvery) Sweep(now);
    // Without descriptors they wait in the kernel's queue, which is bounded, and so does this.
    if (waiting && !Accept(now)) poll(nullptr, 0, kPollMillis);
  }
}

bool FrontDoor::Accept(Time now) {
  for (int i = 0; i < kAcceptsInARow; ++i) {
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    const int fd = accept4(socket_, reinterpret_cast<sockaddr*>(&peer), &size,  // NOLINT
                           SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      const bool none_left =
          errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS;
      if (none_left) Sweep(now);
      return !none_left;
    }
    const std::string address = AddressOf(peer, size);
    // Whatever had this number before is gone.
    if (const auto before = taken_.find(fd); before != taken_.end()) Forget(before);
    if (!HasRoomFor(address, now)) {
      turned_away_ += 1;
      close(fd);
      continue;
    }
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    taken_[fd] = {.inode = InodeOf(fd), .address = address};
    ++addresses_[address];
    connections_ = taken_.size();
    take_(fd);
  }
  return true;
}

bool FrontDoor::HasRoomFor(const std::string& address, Time now) {
  const auto room = [&] {
    const auto theirs = addresses_.find(address);
    return taken_.size() < limits_.all &&
           (theirs == addresses_.end() || theirs->second < limits_.of_an_address);
  };
  if (room()) return true;
  if (now - swept_ < kSweepGap) return false;
  Sweep(now);
  return room();
}

void FrontDoor::Sweep(Time now) {
  swept_ = now;
  for (auto it = taken_.begin(); it != taken_.end();) {
    const auto connection = it++;
    if (InodeOf(connection->first) != connection->second.inode) Forget(connection);
  }
  connections_ = taken_.size();
}

void FrontDoor::Forget(std::map<int, Connection>::iterator connection) {
  const auto theirs = addresses_.find(connection->second.address);
  if (--theirs->second == 0) addresses_.erase(theirs);
  taken_.erase(connection);
}

}  // namespace backfill::coordinator
