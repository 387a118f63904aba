#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rows/utf8.h"
#include "tests/fuzz/feedback.h"
#include "worker/target/run_target.h"

// Whatever a server answers, over a real connection, a request gets exactly one result, soon, and
// only a complete reply is one.
namespace backfill::fuzz {
namespace {

using namespace std::chrono_literals;

// Answers one connection at a time with the same bytes, whatever it is asked.
class Server {
 public:
  Server() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const any = reinterpret_cast<sockaddr*>(&address);  // NOLINT: that is what sockets take
    Require(::bind(listener_, any, size) == 0 && ::listen(listener_, 4) == 0,
            "a port to listen on");
    Require(::getsockname(listener_, any, &size) == 0, "its number");
    port_ = ntohs(address.sin_port);
  }
  [[nodiscard]] std::uint16_t port() const { return port_; }

  void Answer(std::string_view bytes) {
    stream_ = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    Require(stream_ >= 0, "somebody has connected");
    static_cast<void>(::send(stream_, bytes.data(), bytes.size(), MSG_NOSIGNAL));
    ::shutdown(stream_, SHUT_WR);
  }
  void Close() {
    if (stream_ < 0) return;
    const linger now{.l_onoff = 1, .l_linger = 0};  // or ports would run out
    ::setsockopt(stream_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    ::close(stream_);
    stream_ = -1;
  }

 private:
  const int listener_;
  std::uint16_t port_ = 0;
  int stream_ = -1;
};

const std::vector<worker::Record>& Records() {
  static const std::vector<worker::Record> records = {{.position = 0, .key = "a"},
                                                      {.position = 1, .key = "7"}};
  return records;
}

worker::BatchResult Exchange(std::string_view reply) {
  static Server server;
  boost::asio::io_context io(1);
  std::optional<worker::BatchResult> result;
  const worker::RequestTemplate request{
      .method = "POST",
      .url = "http://127.0.0.1:" + std::to_string(server.port()) + "/",
      .headers = {},
      .body = "{{records}}"};
  auto target = worker::RunTarget::Create(
      io, request, {.backfill_name = "n", .backfill_uid = "u", .fields = {}}, worker::OutcomeMap{},
      {.batch_size = 2}, [&result](std::uint32_t, worker::BatchResult of) {
        Require(!result, "a request gets one result");
        result = std::move(of);
      });
  Require(target.ok(), "the request compiles");
  const worker::Dispatch dispatch{.slot = 0, .shard = {}, .records = &Records()};
  (*target)->Send(dispatch, std::chrono::steady_clock::now());
  server.Answer(reply);  // the kernel has taken the connection, or will in a moment
  const Time late = std::chrono::steady_clock::now() + 3s;
  while (!result && std::chrono::steady_clock::now() < late) io.run_one_for(100ms);
  server.Close();
  Require(result.has_value(), "a request gets a result soon");
  io.restart();
  io.poll();  // no handler may run once the target is gone
  return *std::move(result);
}

}  // namespace
}  // namespace backfill::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace backfill;
  using fuzz::Require;
  const std::string_view reply = fuzz::View(data, size);
  if (size > 64 * 1024) return 0;  // must fit into the buffers of the connection
  const worker::BatchResult result = fuzz::Exchange(reply);
  fuzz::Saw(result.verdict.message);
  Require(result.delivery != worker::Delivery::kNotSent, "it was sent");
  if (result.delivery == worker::Delivery::kAnswered) {
    Require(reply.find("HTTP/1.") != std::string_view::npos, "an answer is HTTP");
  } else {
    Require(result.verdict.outcome == worker::Outcome::kFailed && !result.per_record,
            "without an answer nothing is known");
  }
  if (result.retry_after)
    Require(
        *result.retry_after >= Duration::zero() && *result.retry_after <= std::chrono::hours(24),
        "a wait is bounded");
  for (const auto& [index, verdict] : result.records) {
    Require(index < 2 && verdict.message.size() <= 256 && rows::IsUtf8(verdict.message),
            "records that were sent, words that are bounded");
    fuzz::Saw("of a record: " + verdict.message);
  }
  return 0;
}
