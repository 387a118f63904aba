#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "operator/observe/metric_servers.h"
#include "tests/fakes/manual_clock.h"

namespace backfill::observe {

// Servers that answer with what they were given, in turn, and remember what they were asked. One
// thread.
class FakeServers final : public MetricServers {
 public:
  explicit FakeServers(fakes::ManualClock& clock) : clock_(clock) {}

  void Answer(const std::string& server, int status, std::string body) {
    Of(server).answers.emplace_back(kube::HttpResponse{.status = status, .body = std::move(body)});
  }
  void Fail(const std::string& server, Error error) {
    Of(server).answers.emplace_back(std::move(error));
  }
  // Each answer takes so long, or until the deadline.
  void Delay(const std::string& server, Duration delay) { Of(server).delay = delay; }

  struct Asked {
    std::string server;
    kube::HttpRequest request;
    Duration left;  // until the deadline
  };
  std::vector<Asked> asked;

  Result<std::shared_ptr<kube::HttpTransport>> To(const std::string& server,
                                                  const std::string&) override {
    return std::shared_ptr<kube::HttpTransport>(std::make_shared<Transport>(*this, server));
  }

 private:
  struct Server {
    std::deque<Result<kube::HttpResponse>> answers;
    Duration delay{};
  };
  Server& Of(const std::string& server) { return servers_[server]; }

  class Transport final : public kube::HttpTransport {
   public:
    Transport(FakeServers& servers, std::string name) : servers_(servers), name_(std::move(name)) {}
    Result<kube::HttpResponse> Send(const kube::HttpRequest& request, Time deadline,
                                    std::stop_token) override {
      const Time now = servers_.clock_.Steady();
      servers_.asked.push_back({name_, request, deadline - now});
      Server& server = servers_.Of(name_);
      servers_.clock_.Advance(std::min(server.delay, Duration(deadline - now)));
      if (now + server.delay > deadline) return Error{ErrorCode::kDeadline, "no response in time"};
      if (server.answers.empty()) return Error{ErrorCode::kUnavailable, "nobody is there"};
      auto answer = std::move(server.answers.front());
      server.answers.pop_front();
      return answer;
    }
    Result<kube::HttpResponse> Stream(const kube::HttpRequest&, const kube::StreamLimits&,
                                      std::stop_token,
                                      const std::function<bool(std::string_view)>&) override {
      return Error{ErrorCode::kInternal, "nobody streams metrics"};
    }

   private:
    FakeServers& servers_;
    const std::string name_;
  };

  fakes::ManualClock& clock_;
  std::map<std::string, Server> servers_;
};

}  // namespace backfill::observe
