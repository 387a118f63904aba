#include "operator/kube/probes/probe_server.h"

#include <CivetServer.h>
#include <fmt/format.h>

#include <exception>
#include <utility>
#include <vector>

#include "base/log.h"

namespace backfill::kube {
namespace {

std::string_view PhraseOf(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 404:
      return "Not Found";
    case 503:
      return "Service Unavailable";
    default:
      return "Internal Server Error";
  }
}

void WriteAnswer(mg_connection* connection, const ProbeAnswer& answer) {
  const std::string text = fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n"
      "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n{}",
      answer.status, PhraseOf(answer.status), answer.content_type, answer.body.size(), answer.body);
  mg_write(connection, text.data(), text.size());
}

// No exception reaches civetweb, which is C.
class ProbeHandler final : public CivetHandler {
 public:
  // `path` is empty for what is none of the others.
  ProbeHandler(std::string path, ProbeServer::Answer answer)
      : path_(std::move(path)), answer_(std::move(answer)) {}

  bool handleGet(CivetServer* /*server*/, mg_connection* connection) override {
    // civetweb also gives it what stands below the path.
    const mg_request_info* request = mg_get_request_info(connection);
    const char* uri = request == nullptr ? nullptr : request->local_uri;
    if (uri == nullptr || path_ != uri) {
      WriteAnswer(connection, {.status = 404, .body = "not found\n"});
      return true;
    }
    ProbeAnswer answer;
    try {
      answer = answer_();
    } catch (const std::exception& e) {
      Log(LogLevel::kError, "a probe failed", {{"path", path_}, {"error", e.what()}});
      answer = {.status = 500, .body = "internal error\n"};
    } catch (...) {
      Log(LogLevel::kError, "a probe failed", {{"path", path_}});
      answer = {.status = 500, .body = "internal error\n"};
    }
    WriteAnswer(connection, answer);
    return true;
  }

 private:
  const std::string path_;
  const ProbeServer::Answer answer_;
};

}  // namespace

struct ProbeServer::State {
  std::vector<std::unique_ptr<ProbeHandler>> handlers;  // outlive the server
  std::unique_ptr<CivetServer> server;
};

ProbeServer::ProbeServer(int port, std::map<std::string, Answer> answers)
    : wanted_port_(port), answers_(std::move(answers)) {}

ProbeServer::~ProbeServer() { Stop(); }

Status ProbeServer::Start() {
  auto state = std::make_unique<State>();
  try {
    state->server = std::make_unique<CivetServer>(std::vector<std::string>{
        "listening_ports", std::to_string(wanted_port_), "num_threads", "4", "connection_queue",
        "16", "request_timeout_ms", "5000", "max_request_size", "8192", "enable_keep_alive", "no"});
    for (const auto& [path, answer] : answers_) {
      state->handlers.push_back(std::make_unique<ProbeHandler>(path, answer));
      state->server->addHandler(path, *state->handlers.back());
    }
  } catch (const std::exception& e) {
    return Error{ErrorCode::kUnavailable,
                 fmt::format("listening on port {}: {}", wanted_port_, e.what())};
  }
  state_ = std::move(state);
  return Ok{};
}

void ProbeServer::Stop() {
  if (state_ == nullptr) return;
  state_->server.reset();
  state_.reset();
}

int ProbeServer::port() const {
  if (state_ == nullptr) return 0;
  const std::vector<int> ports = state_->server->getListeningPorts();
  return ports.empty() ? 0 : ports.front();
}

}  // namespace backfill::kube
