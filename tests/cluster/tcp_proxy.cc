#include "tests/cluster/tcp_proxy.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <stop_token>
#include <utility>
#include <vector>

namespace backfill::cluster {
namespace {

constexpr std::size_t kMostWaiting = std::size_t{64} << 10;
constexpr std::size_t kMostConnections = 256;

sockaddr_in Loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// Connecting to loopback does not wait: it is refused, or done once there is room in the backlog.
int ConnectTo(std::uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = Loopback(port);
  if (fd >= 0 && connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

void CloseWithReset(int fd) {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close(fd);
}

bool WouldBlock() { return errno == EAGAIN || errno == EINTR; }

}  // namespace

TcpProxy::TcpProxy(std::uint16_t to) : to_(to) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof address;
  if (wake_ < 0 || bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      listen(listener_, 64) != 0 ||
      getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    std::abort();
  }
  port_ = ntohs(address.sin_port);
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

TcpProxy::~TcpProxy() {
  thread_.request_stop();
  eventfd_write(wake_, 1);
  thread_.join();
  EndAll(Ending::kReset);
  close(listener_);
  close(wake_);
}

template <typename Change>
void TcpProxy::Pull(const Change& change) {
  {
    MutexLock lock(mu_);
    change(levers_);
  }
  eventfd_write(wake_, 1);
}

void TcpProxy::PassThrough() {
  Pull([](Levers& levers) {
    levers.mode = Mode::kPass;
    levers.cut_after.reset();
  });
}

void TcpProxy::GoSilent() {
  Pull([](Levers& levers) { levers.mode = Mode::kSilent; });
}

void TcpProxy::Drip(std::size_t bytes, Duration every) {
  Pull([&](Levers& levers) {
    levers.mode = Mode::kDrip;
    levers.drip_bytes = std::max<std::size_t>(bytes, 1);
    levers.drip_every = every;
  });
}

void TcpProxy::CutAfter(std::uint64_t bytes) {
  Pull([bytes](Levers& levers) {
    levers.cut_after = bytes;
    ++levers.cut;
  });
}

void TcpProxy::Reset() {
  Pull([](Levers& levers) { levers.end_all = Ending::kReset; });
}

void TcpProxy::Close() {
  Pull([](Levers& levers) { levers.end_all = Ending::kClose; });
}

int TcpProxy::accepted() const {
  MutexLock lock(mu_);
  return accepted_;
}

int TcpProxy::open() const {
  MutexLock lock(mu_);
  return open_;
}

std::uint64_t TcpProxy::passed() const {
  MutexLock lock(mu_);
  return passed_;
}

void TcpProxy::Run(const std::stop_token& stop) {
  std::vector<pollfd> polled;
  while (!stop.stop_requested()) {
    Levers levers;
    {
      MutexLock lock(mu_);
      levers = levers_;
      levers_.end_all.reset();
      open_ = static_cast<int>(connections_.size());
    }
    if (levers.end_all) {
      EndAll(*levers.end_all);
      continue;
    }

    const Time now = std::chrono::steady_clock::now();
    Time due = Time::max();
    polled = {{wake_, POLLIN, 0}, {listener_, POLLIN, 0}};
    if (connections_.size() >= kMostConnections) polled[1].fd = -1;
    const auto want_to_write = [&](const Flow& flow, bool downwards) {
      if (flow.waiting.empty()) return false;
      if (!downwards || levers.mode != Mode::kDrip || flow.next <= now) return true;
      due = std::min(due, flow.next);
      return false;
    };
    const auto want = [&](const Flow& reads, const Flow& writes, bool downwards) {
      pollfd entry{reads.from, 0, 0};
      if (!reads.ended && reads.waiting.size() < kMostWaiting) entry.events |= POLLIN;
      if (want_to_write(writes, downwards)) entry.events |= POLLOUT;
      // Without events poll would still tell of a hang-up, over and over.
      if (entry.events == 0 || levers.mode == Mode::kSilent) entry.fd = -1;
      polled.push_back(entry);
    };
    for (const Connection& c : connections_) {
      want(c.up, c.down, true);   // the client's socket: read upwards, written downwards
      want(c.down, c.up, false);  // the server's
    }
    int wait_ms = -1;
    if (due != Time::max()) {
      wait_ms = static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(due - now).count());
    }
    if (poll(polled.data(), polled.size(), wait_ms) < 0 && errno != EINTR) std::abort();

    eventfd_t ignored = 0;
    eventfd_read(wake_, &ignored);
    {
      // A lever that was pulled meanwhile comes first: nothing may pass after GoSilent.
      MutexLock lock(mu_);
      if (levers_.mode != levers.mode || levers_.end_all) continue;
      levers = levers_;
    }
    std::size_t at = 2;
    for (auto c = connections_.begin(); c != connections_.end();) {
      const auto client = static_cast<unsigned>(polled[at++].revents);
      const auto server = static_cast<unsigned>(polled[at++].revents);
      const unsigned readable = POLLIN | POLLHUP | POLLERR;
      bool well = true;
      if ((client & readable) != 0) well = Read(c->up);
      if ((server & readable) != 0) well = Read(c->down) && well;
      if (levers.mode != Mode::kSilent) {
        const Time written = std::chrono::steady_clock::now();
        well = well && Write(c->up, false, levers, written);
        well = well && Write(c->down, true, levers, written);
        if (c->up.closed && c->down.closed) well = false;
      }
      if (well) {
        ++c;
        continue;
      }
      if (c->up.closed && c->down.closed) {
        close(c->up.from);
        close(c->up.to);
      } else {
        CloseWithReset(c->up.from);
        CloseWithReset(c->up.to);
      }
      c = connections_.erase(c);
    }
    if ((polled[1].revents & POLLIN) != 0) Accept();
  }
}

void TcpProxy::Accept() {
  const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (client < 0) return;
  const int server = ConnectTo(to_);
  if (server < 0) {
    CloseWithReset(client);
    return;
  }
  connections_.push_back({.up = {.from = client, .to = server, .waiting = {}},
                          .down = {.from = server, .to = client, .waiting = {}}});
  MutexLock lock(mu_);
  ++accepted_;
  open_ = static_cast<int>(connections_.size());
}

bool TcpProxy::Read(Flow& flow) const {
  if (flow.ended || flow.waiting.size() >= kMostWaiting) return true;
  const std::size_t before = flow.waiting.size();
  flow.waiting.resize(kMostWaiting);
  const ssize_t n =
      recv(flow.from, flow.waiting.data() + before, kMostWaiting - before, MSG_DONTWAIT);
  flow.waiting.resize(before + (n > 0 ? static_cast<std::size_t>(n) : 0));
  if (n == 0) flow.ended = true;
  return n >= 0 || WouldBlock();
}

bool TcpProxy::Write(Flow& flow, bool downwards, const Levers& levers, Time now) {
  std::size_t most = flow.waiting.size();
  if (downwards && levers.mode == Mode::kDrip) {
    if (flow.next > now) return true;
    most = std::min(most, levers.drip_bytes);
  }
  // Counted before they are sent: whoever has received them and pulls a lever then means later
  // ones.
  std::uint64_t cut = 0;
  if (downwards) {
    MutexLock lock(mu_);
    if (levers_.end_all) return true;  // perhaps since a moment ago, by another connection
    if (levers_.cut_after) {
      most = static_cast<std::size_t>(std::min<std::uint64_t>(most, *levers_.cut_after));
      *levers_.cut_after -= most;
    }
    cut = levers_.cut;
    passed_ += most;
  }
  std::size_t sent = 0;
  if (most > 0) {
    const ssize_t n = send(flow.to, flow.waiting.data(), most, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && !WouldBlock()) return false;
    sent = n > 0 ? static_cast<std::size_t>(n) : 0;
    flow.waiting.erase(0, sent);
    if (downwards && levers.mode == Mode::kDrip) flow.next = now + levers.drip_every;
  }
  if (downwards) {
    MutexLock lock(mu_);
    passed_ -= most - sent;
    if (levers_.cut_after && levers_.cut == cut) {
      *levers_.cut_after += most - sent;
      if (*levers_.cut_after == 0) {
        levers_.cut_after.reset();
        levers_.end_all = Ending::kClose;
        eventfd_write(wake_, 1);
        return true;
      }
    }
  }
  if (flow.ended && flow.waiting.empty() && !flow.closed) {
    shutdown(flow.to, SHUT_WR);
    flow.closed = true;
  }
  return true;
}

void TcpProxy::EndAll(Ending ending) {
  for (const Connection& c : std::exchange(connections_, {})) {
    for (const int fd : {c.up.from, c.up.to}) {
      switch (ending) {
        case Ending::kReset:
          CloseWithReset(fd);
          break;
        case Ending::kClose:
          // What the client has sent and nobody has read would turn the end into a reset.
          shutdown(fd, SHUT_WR);
          char unread[4096];
          while (recv(fd, unread, sizeof unread, MSG_DONTWAIT) > 0) {
          }
          close(fd);
          break;
      }
    }
  }
  MutexLock lock(mu_);
  open_ = 0;
}

}  // namespace backfill::cluster
