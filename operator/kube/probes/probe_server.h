#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/result.h"

namespace backfill::kube {

struct ProbeAnswer {
  int status = 200;
  std::string body;
  std::string content_type = "text/plain; charset=utf-8";
};

// A small HTTP server for the kubelet and Prometheus: GET of a few paths, 404 for the rest. Plain
// HTTP, since civetweb 1.15 and OpenSSL 3 do not go together; nothing secret is answered.
//
// Answers are given on the server's threads, several at a time, and must come at once. Start()
// once; Stop() is idempotent and takes up to 2 s, which civetweb waits for its threads.
class ProbeServer {
 public:
  using Answer = std::function<ProbeAnswer()>;

  // By path, such as /healthz. `port` 0: any that is free.
  ProbeServer(int port, std::map<std::string, Answer> answers);
  ~ProbeServer();
  ProbeServer(const ProbeServer&) = delete;
  ProbeServer& operator=(const ProbeServer&) = delete;

  // kUnavailable: the port cannot be had.
  Status Start();
  void Stop();

  // Once started.
  [[nodiscard]] int port() const;

 private:
  struct State;
  const int wanted_port_;
  const std::map<std::string, Answer> answers_;
  std::unique_ptr<State> state_;  // absent: it does not run
};

}  // namespace backfill::kube
