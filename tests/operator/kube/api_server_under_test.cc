#include "tests/operator/kube/api_server_under_test.h"

#include <gtest/gtest.h>

namespace backfill::kube {

using namespace std::chrono_literals;

std::string Reply::Text(const std::string& pointer) const {
  const nlohmann::json::json_pointer at(pointer);
  if (!body.contains(at)) return "";
  const nlohmann::json& value = body.at(at);
  return value.is_string() ? value.get<std::string>() : value.dump();
}

bool Reply::Has(const std::string& pointer) const {
  return body.contains(nlohmann::json::json_pointer(pointer));
}

WatchReader::WatchReader(ApiServerUnderTest& server, std::string target, std::string accept)
    : server_(server),
      request_{
          .method = HttpMethod::kGet, .target = std::move(target), .accept = std::move(accept)},
      thread_([this] {
        const Time now = server_.clock().Steady();
        auto result = server_.transport().Stream(
            request_, {.deadline = now + 10min, .idle = 10min}, stop_.get_token(),
            [this](std::string_view line) {
              MutexLock l(mu_);
              events_.push_back(nlohmann::json::parse(line, nullptr, false));
              changed_.notify_all();
              return true;
            });
        MutexLock l(mu_);
        end_ = std::move(result);
        changed_.notify_all();
      }) {}

WatchReader::~WatchReader() { stop_.request_stop(); }

nlohmann::json WatchReader::Next(bool bookmarks) {
  const auto give_up = std::chrono::steady_clock::now() + 30s;
  while (std::chrono::steady_clock::now() < give_up) {
    {
      MutexLock l(mu_);
      while (!events_.empty()) {
        nlohmann::json event = std::move(events_.front());
        events_.pop_front();
        if (bookmarks || event.value("type", "") != "BOOKMARK") return event;
      }
      if (end_) {
        ADD_FAILURE() << "the watch has ended: "
                      << (end_->ok() ? std::to_string((*end_)->status) + (*end_)->body
                                     : end_->error().message);
        return {};
      }
      changed_.wait_for(mu_, 5ms);
    }
    server_.LetTimePass();
  }
  ADD_FAILURE() << "no event within 30 s";
  return {};
}

bool WatchReader::Silent() {
  MutexLock l(mu_);
  for (const nlohmann::json& event : events_) {
    if (event.value("type", "") != "BOOKMARK") return false;
  }
  return !end_;
}

Result<HttpResponse> WatchReader::End() {
  const auto give_up = std::chrono::steady_clock::now() + 30s;
  while (std::chrono::steady_clock::now() < give_up) {
    {
      MutexLock l(mu_);
      if (end_) return *end_;
      changed_.wait_for(mu_, 5ms);
    }
    server_.LetTimePass();
  }
  return Error{ErrorCode::kInternal, "the watch did not end within 30 s"};
}

}  // namespace backfill::kube
