#include "tests/worker/sink.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

namespace backfill::fakes {
namespace {

constexpr std::size_t kMaxRequest = 16 * 1024 * 1024;
constexpr std::string_view kLevers = "/levers?";

std::string Response(std::string_view status, std::string_view body,
                     std::string_view type = "text/plain") {
  return "HTTP/1.1 " + std::string(status) + "\r\nContent-Type: " + std::string(type) +
         "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

std::string_view HeaderValue(std::string_view head, std::string_view name) {
  for (std::size_t at = head.find("\r\n"); at != std::string_view::npos;
       at = head.find("\r\n", at)) {
    at += 2;
    if (head.size() - at > name.size() && head[at + name.size()] == ':' &&
        strncasecmp(head.data() + at, name.data(), name.size()) == 0) {
      std::string_view value = head.substr(at + name.size() + 1);
      value = value.substr(0, value.find("\r\n"));
      while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
      return value;
    }
  }
  return {};
}

std::string_view Digits(std::string_view s) {
  std::size_t n = 0;
  while (n < s.size() && s[n] >= '0' && s[n] <= '9') ++n;
  return s.substr(0, n);
}

}  // namespace

std::string SinkStats::ToJson() const {
  const auto n = [](const char* name, std::uint64_t v) {
    return "\"" + std::string(name) + "\":" + std::to_string(v);
  };
  return "{" + n("requests", requests) + "," + n("records", records) + "," +
         n("distinct", distinct) + "," + n("duplicates", duplicates) + "," + n("missing", missing) +
         "," + n("outside", outside) + "}";
}

Sink::Sink(const SinkOptions& options)
    : options_(options),
      service_({.capacity = options.serves,
                .foreground = options.foreground,
                .latency = options.latency}),
      seen_(options.bitmap) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(options.any_address ? INADDR_ANY : INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(options.port));
  socklen_t size = sizeof address;
  // NOLINTNEXTLINE: the socket API's own cast
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener_, generic, size) != 0 || ::listen(listener_, 1024) != 0) std::abort();
  ::getsockname(listener_, generic, &size);
  port_ = ntohs(address.sin_port);
  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{.events = EPOLLIN, .data = {.fd = listener_}};
  ::epoll_ctl(epoll_, EPOLL_CTL_ADD, listener_, &event);
}

void Sink::Stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

Sink::~Sink() {
  Stop();
  for (const auto& [fd, c] : connections_) ::close(fd);
  ::close(epoll_);
  ::close(listener_);
}

void Sink::Start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

void Sink::Run(const std::stop_token& stop) {
  epoll_event events[256];
  while (!stop.stop_requested()) {
    const int n = ::epoll_wait(epoll_, events, 256, due_.empty() ? 50 : 1);
    for (int i = 0; i < n; ++i) {
      const int fd = events[i].data.fd;
      if (fd == listener_) {
        Accept();
        continue;
      }
      const auto it = connections_.find(fd);
      if (it != connections_.end() && !OnReadable(it->second)) {
        ::close(fd);
        connections_.erase(it);
        std::erase_if(due_, [fd](const auto& d) { return d.second == fd; });
      }
    }
    SendDue(std::chrono::steady_clock::now());
  }
}

void Sink::Accept() {
  while (true) {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connections_[fd].fd = fd;
    epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
    MutexLock l(mu_);
    ++stats_.connections;
  }
}

bool Sink::OnReadable(Connection& c) {
  char buffer[64 * 1024];
  const ssize_t n = ::recv(c.fd, buffer, sizeof buffer, 0);
  if (n < 0) return errno == EAGAIN;
  if (n == 0) return false;
  c.in.append(buffer, static_cast<std::size_t>(n));
  return Serve(c);
}

bool Sink::Serve(Connection& c) {
  while (true) {
    const std::size_t end = c.in.find("\r\n\r\n");
    if (end == std::string::npos) return c.in.size() < 64 * 1024;
    const std::string_view head(c.in.data(), end);
    const std::string_view value = HeaderValue(head, "Content-Length");
    std::size_t length = 0;
    std::from_chars(value.data(), value.data() + value.size(), length);
    if (length > kMaxRequest) return false;
    if (c.in.size() < end + 4 + length) return true;
    const std::size_t from = head.find(' ');
    if (from == std::string_view::npos) return false;
    const std::string_view path = head.substr(from + 1, head.find(' ', from + 1) - from - 1);
    Answer(c, head, path, std::string_view(c.in).substr(end + 4, length));
    c.in.erase(0, end + 4 + length);
  }
}

void Sink::Answer(Connection& c, std::string_view head, std::string_view path,
                  std::string_view body) {
  Duration latency{0};
  if (path == "/stats") {
    c.out = Response("200 OK", stats().ToJson(), "application/json");
  } else if (path == "/metrics") {
    MutexLock l(mu_);
    c.out = Response("200 OK", service_.Metrics(std::chrono::steady_clock::now()),
                     "text/plain; version=0.0.4");
  } else if (path.starts_with(kLevers)) {
    const bool known = PullLevers(path.substr(kLevers.size()));
    c.out = known ? Response("200 OK", "ok") : Response("400 Bad Request", "no such lever");
  } else {
    c.out = Serve(head, path, body, latency);
  }
  if (latency.count() > 0) {
    due_.emplace(std::chrono::steady_clock::now() + latency, c.fd);
  } else {
    [[maybe_unused]] const ssize_t n = ::send(c.fd, c.out.data(), c.out.size(), MSG_NOSIGNAL);
  }
}

std::string Sink::Serve(std::string_view head, std::string_view path, std::string_view body,
                        Duration& latency) {
  bool fail = false, refuse = false;
  {
    MutexLock l(mu_);
    ++stats_.requests;
    fail = options_.fail_every > 0 && stats_.requests % options_.fail_every == 0;
    refuse = !fail && Refuses(path);
    const Time now = std::chrono::steady_clock::now();
    if (IsBeyondCapacity(now)) return Response("503 Service Unavailable", "");
    const auto answered = service_.Arrive(now, fail ? 503 : refuse ? 422 : 200);
    fail = fail || !answered;
    latency = answered.value_or(Duration{0});
  }
  if (!fail) Count(path, body);
  if (fail) return Response("503 Service Unavailable", "");
  if (refuse) return Response("422 Unprocessable Content", "no");
  // Short, as it is what is measured against.
  return head.starts_with("HEAD") ? "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
                                  : "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
}

bool Sink::PullLevers(std::string_view query) {
  MutexLock l(mu_);
  ModelService::Load load = service_.load();
  std::uint64_t fail_every = options_.fail_every;
  while (!query.empty()) {
    const std::string_view lever = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), lever.size() + 1));
    const std::size_t equals = lever.find('=');
    if (equals == std::string_view::npos) return false;
    const std::string_view name = lever.substr(0, equals), text = lever.substr(equals + 1);
    std::uint32_t value = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
    if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return false;
    if (name == "serves") {
      load.capacity = value;
    } else if (name == "foreground") {
      load.foreground = value;
    } else if (name == "latency_ms") {
      load.latency = std::chrono::milliseconds(value);
    } else if (name == "fail_every") {
      fail_every = value;
    } else {
      return false;
    }
  }
  options_.fail_every = fail_every;
  service_.Set(load, std::chrono::steady_clock::now());
  return true;
}

void Sink::SendDue(Time now) {
  while (!due_.empty() && due_.begin()->first <= now) {
    const Connection& c = connections_[due_.begin()->second];
    [[maybe_unused]] const ssize_t n = ::send(c.fd, c.out.data(), c.out.size(), MSG_NOSIGNAL);
    due_.erase(due_.begin());
  }
}

bool Sink::Refuses(std::string_view path) const {
  if (options_.refuse_every == 0 || !path.starts_with("/r/")) return false;
  const std::string_view digits = Digits(path.substr(3));
  std::uint64_t key = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), key);
  return parsed.ec == std::errc() && key % options_.refuse_every == 0;
}

bool Sink::IsBeyondCapacity(Time now) {
  if (options_.capacity == 0) return false;
  const auto capacity = static_cast<double>(options_.capacity);
  const double since = std::chrono::duration<double>(now - room_at_).count();
  room_ = std::min(std::max(1.0, capacity / 10), room_ + since * capacity);
  room_at_ = now;
  if (room_ < 1) return true;
  room_ -= 1;
  return false;
}

void Sink::Count(std::string_view path, std::string_view body) {
  MutexLock l(mu_);
  if (path.starts_with("/r/")) return CountKey(Digits(path.substr(3)));
  constexpr std::string_view kKey = "\"key\":";
  for (std::size_t at = body.find(kKey); at != std::string_view::npos; at = body.find(kKey, at)) {
    at += kKey.size();
    while (at < body.size() && (body[at] == ' ' || body[at] == '"')) ++at;
    CountKey(Digits(body.substr(at)));
  }
}

void Sink::CountKey(std::string_view digits) {
  ++stats_.records;
  std::uint64_t key = 0;
  const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), key);
  if (digits.empty() || ec != std::errc() || key >= seen_.size()) {
    ++stats_.outside;
    return;
  }
  if (seen_[key] == 0) {
    ++stats_.distinct;
  } else {
    ++stats_.duplicates;
  }
  if (seen_[key] < 255) ++seen_[key];
}

SinkStats Sink::stats() const {
  MutexLock l(mu_);
  SinkStats s = stats_;
  s.missing = seen_.size() - s.distinct;
  return s;
}

int Sink::TimesSeen(std::uint64_t key) const {
  MutexLock l(mu_);
  return key < seen_.size() ? seen_[key] : 0;
}

void Sink::SetFailEvery(std::uint64_t n) {
  MutexLock l(mu_);
  options_.fail_every = n;
}

void Sink::SetCapacity(std::uint64_t requests_per_second) {
  MutexLock l(mu_);
  options_.capacity = requests_per_second;
}

void Sink::SetLatency(std::chrono::milliseconds latency) {
  MutexLock l(mu_);
  ModelService::Load load = service_.load();
  load.latency = latency;
  service_.Set(load, std::chrono::steady_clock::now());
}

}  // namespace backfill::fakes
