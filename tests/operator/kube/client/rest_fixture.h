#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "operator/kube/client/rest_transport.h"
#include "tests/worker/target/raw_server.h"

namespace backfill::kube {

// Credentials that a test changes as it likes.
class TestCredentials final : public CredentialSource {
 public:
  explicit TestCredentials(std::function<Result<Credentials>()> load) : load_(std::move(load)) {}
  Result<Credentials> Load(Time, std::stop_token) override { return load_(); }

 private:
  const std::function<Result<Credentials>()> load_;
};

inline std::unique_ptr<CredentialSource> NoCredentials() {
  return std::make_unique<TestCredentials>([] { return Credentials{}; });
}

// Until it holds, or the test has failed.
template <typename Condition>
[[nodiscard]] bool Eventually(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

// Serves nothing until the other side has had enough.
inline void HoldUntilClosed(int fd) {
  pollfd p{.fd = fd, .events = POLLRDHUP, .revents = 0};
  while (::poll(&p, 1, -1) < 0) {
  }
}

// More than may be received without being handed over, and no end. False: the other side has had
// enough before all of it was said.
template <typename Say>
[[nodiscard]] bool SayTooMuch(Say say) {
  const std::string piece(1 << 20, 'y');
  for (int i = 0; i < 128; ++i)
    if (!say(piece)) return false;
  return true;
}

inline std::string Reply(std::string_view body, std::string_view headers = "",
                         std::string_view status = "200 OK") {
  return "HTTP/1.1 " + std::string(status) + "\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n" + std::string(headers) + "\r\n" + std::string(body);
}

inline std::string Chunk(std::string_view body) {
  char size[20];
  std::snprintf(size, sizeof size, "%zx\r\n", body.size());
  return size + std::string(body) + "\r\n";
}

inline constexpr std::string_view kChunkedHead =
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

// A transport to a server on this machine, and verbs to use it.
class RestFixture : public testing::Test {
 protected:
  void Connect(int port, RestOptions options = {},
               std::unique_ptr<CredentialSource> credentials = NoCredentials()) {
    if (options.server.empty()) options.server = "http://127.0.0.1:" + std::to_string(port);
    auto made = RestTransport::Make(
        std::move(options), std::make_shared<CredentialCache>(std::move(credentials), clock_),
        clock_);
    ASSERT_TRUE(made.ok()) << made.error().message;
    transport_ = std::move(made).value();
  }

  Result<HttpResponse> Send(HttpMethod method, std::string target, std::string body = "",
                            Duration within = std::chrono::seconds(5)) {
    return Send({.method = method,
                 .target = std::move(target),
                 .content_type = body.empty() ? "" : "application/json",
                 .body = std::move(body)},
                within);
  }
  Result<HttpResponse> Send(const HttpRequest& request, Duration within = std::chrono::seconds(5)) {
    const Time begin = clock_.Steady();
    auto result = transport_->Send(request, begin + within, stop_.get_token());
    took_ = clock_.Steady() - begin;
    return result;
  }
  Result<HttpResponse> Get(std::string target = "/x") {
    return Send(HttpMethod::kGet, std::move(target));
  }

  Result<HttpResponse> Stream(const std::function<bool(std::string_view)>& on_line,
                              Duration idle = std::chrono::seconds(5),
                              std::size_t max_line_bytes = 1 << 20,
                              Duration within = std::chrono::seconds(10)) {
    const Time begin = clock_.Steady();
    auto result = transport_->Stream(
        {.target = "/watch"},
        {.deadline = begin + within, .idle = idle, .max_line_bytes = max_line_bytes},
        stop_.get_token(), on_line);
    took_ = clock_.Steady() - begin;
    return result;
  }
  // All its lines.
  Result<HttpResponse> Collect(std::vector<std::string>& lines,
                               Duration idle = std::chrono::seconds(5),
                               std::size_t max_line_bytes = 1 << 20) {
    return Stream(
        [&](std::string_view line) {
          lines.emplace_back(line);
          return true;
        },
        idle, max_line_bytes);
  }

  SystemClock clock_;
  std::stop_source stop_;
  std::unique_ptr<RestTransport> transport_;
  Duration took_{};
};

// With a server that does what a test says.
class RawServerFixture : public RestFixture {
 protected:
  // What `serve` does with the number of a request and its text.
  void Serve(fakes::RawServer::Serve serve) {
    server_.emplace(std::move(serve));
    Connect(server_->port());
  }
  void ServeText(std::string text) {
    Serve([text = std::move(text)](int fd, const std::string&, int) {
      fakes::RawServer::Say(fd, text);
      return false;
    });
  }
  // Before what the server uses is gone.
  void Close() {
    transport_.reset();
    server_.reset();
  }
  void TearDown() override { Close(); }

  std::optional<fakes::RawServer> server_;
};

// "" or what is wrong.
inline std::string FailsWith(const Result<HttpResponse>& result, ErrorCode code,
                             std::string_view part = "") {
  if (result.ok()) return "has status " + std::to_string(result->status);
  if (result.error().code != code || result.error().message.find(part) == std::string::npos)
    return std::string(ToString(result.error().code)) + ": " + result.error().message;
  return "";
}

}  // namespace backfill::kube
