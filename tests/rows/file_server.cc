#include "file_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <utility>

namespace backfill::rows {
namespace {

bool SendAll(int fd, const char* data, std::size_t size, std::atomic<std::uint64_t>* sent) {
  while (size > 0) {
    const ssize_t n = send(fd, data, std::min<std::size_t>(size, 64 << 10), MSG_NOSIGNAL);
    if (n <= 0) return false;
    if (sent != nullptr) *sent += static_cast<std::uint64_t>(n);
    data += n;
    size -= static_cast<std::size_t>(n);
  }
  return true;
}

template <typename T>
std::optional<T> TakeFirst(std::vector<T>& list) {
  if (list.empty()) return std::nullopt;
  T first = list.front();
  list.erase(list.begin());
  return first;
}

}  // namespace

FileServer::FileServer(std::string body) : body_(std::move(body)) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      listen(listener_, 16) != 0 ||
      getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    std::abort();
  }
  port_ = ntohs(address.sin_port);
  accepting_ = std::jthread([this] { Accept(); });
}

FileServer::~FileServer() {
  stopping_ = true;
  shutdown(listener_, SHUT_RDWR);
  accepting_.join();
  {
    std::lock_guard lock(mu_);
    for (const int fd : open_) shutdown(fd, SHUT_RDWR);
  }
  serving_.clear();
  close(listener_);
}

std::string FileServer::Url(const std::string& path) const {
  return "http://127.0.0.1:" + std::to_string(port_) + path;
}

void FileServer::AnswerNext(std::vector<int> statuses) {
  std::lock_guard lock(mu_);
  statuses_ = std::move(statuses);
}

void FileServer::CutNext(std::vector<std::size_t> sizes) {
  std::lock_guard lock(mu_);
  cuts_ = std::move(sizes);
}

void FileServer::Become(std::string body, std::string etag) {
  std::lock_guard lock(mu_);
  body_ = std::move(body);
  etag_ = std::move(etag);
}

void FileServer::RedirectTo(std::string url) {
  std::lock_guard lock(mu_);
  redirect_ = std::move(url);
}

void FileServer::Accept() {
  while (!stopping_) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    ++connections_;
    std::lock_guard lock(mu_);
    open_.push_back(fd);
    serving_.emplace_back([this, fd] { Serve(fd); });
  }
}

void FileServer::Serve(int fd) {
  std::string head;
  char buffer[4096];
  for (;;) {
    const ssize_t n = recv(fd, buffer, sizeof buffer, 0);
    if (n <= 0) break;
    head.append(buffer, static_cast<std::size_t>(n));
    const std::size_t end = head.find("\r\n\r\n");
    if (end == std::string::npos) continue;
    if (!Answer(fd, head.substr(0, end))) break;
    head.erase(0, end + 4);
  }
  std::lock_guard lock(mu_);
  std::erase(open_, fd);
  close(fd);
}

// Whether the connection can be used again.
bool FileServer::Answer(int fd, const std::string& head) {
  ++requests_;
  std::string body;
  std::string etag;
  std::string redirect;
  std::optional<int> status;
  std::optional<std::size_t> cut;
  {
    std::lock_guard lock(mu_);
    body = body_;
    etag = etag_;
    status = TakeFirst(statuses_);
    cut = TakeFirst(cuts_);
    if (head.starts_with("GET /moved")) redirect = redirect_;
  }
  if (status == 0) return false;
  std::string reply;
  std::size_t begin = 0;
  std::size_t end = body.size();
  if (!redirect.empty()) {
    reply = "HTTP/1.1 302 Found\r\nLocation: " + redirect + "\r\nContent-Length: 0\r\n";
    end = 0;
  } else if (status && *status != 200) {
    reply = "HTTP/1.1 " + std::to_string(*status) + " No\r\nContent-Length: 0\r\n";
    end = 0;
  } else {
    const std::size_t range = head.find("Range: bytes=");
    if (ranges_ && range != std::string::npos) {
      char* rest = nullptr;
      begin = std::strtoull(head.c_str() + range + 13, &rest, 10);
      if (rest[0] == '-' && rest[1] >= '0' && rest[1] <= '9')
        end = std::min<std::size_t>(end, std::strtoull(rest + 1, nullptr, 10) + 1);
      if (begin >= body.size()) {
        reply = "HTTP/1.1 416 No\r\nContent-Range: bytes */" + std::to_string(body.size()) +
                "\r\nContent-Length: 0\r\n";
        begin = end = 0;
      } else {
        reply = "HTTP/1.1 206 Partial\r\nContent-Range: bytes " + std::to_string(begin) + "-" +
                std::to_string(end - 1) + "/" + std::to_string(body.size()) + "\r\n";
      }
    } else {
      reply = "HTTP/1.1 200 OK\r\n";
    }
    reply += "ETag: " + etag + "\r\n";
    if (reply.find("Content-Length") == std::string::npos)
      reply += length_ ? "Content-Length: " + std::to_string(end - begin) + "\r\n"
                       : "Connection: close\r\n";
  }
  reply += "\r\n";
  if (!SendAll(fd, reply.data(), reply.size(), nullptr)) return false;
  if (hang_next_.exchange(false)) {
    char byte = 0;
    recv(fd, &byte, 1, 0);  // until the client or the server goes away
    return false;
  }
  if (cut && *cut < end - begin) {
    SendAll(fd, body.data() + begin, *cut, &sent_);
    return false;
  }
  return SendAll(fd, body.data() + begin, end - begin, &sent_) && length_;
}

}  // namespace backfill::rows
