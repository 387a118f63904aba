#pragma once

#include "tests/operator/coordinator/worker_client.h"

#include <atomic>
#include <map>
#include <vector>

#include "operator/coordinator/server.h"

namespace backfill::coordinator {

// Hears streams and remembers what they say.
class SessionRecorder final : public SessionHandler {
 public:
  void OnMessage(SessionId session, v1::WorkerMessage&& message) override {
    {
      MutexLock l(mu_);
      messages_[session].push_back(message);
    }
    if (server != nullptr && echo) {
      v1::CoordinatorMessage answer;
      answer.set_answers(message.sequence());
      answer.mutable_ack();
      server->Send(session, std::move(answer));
    }
    if (server != nullptr && read_on) server->ReadNext(session);
  }
  void OnGone(SessionId /*session*/) override { gone += 1; }
  [[nodiscard]] bool Serves() const override { return serves; }

  std::size_t sessions() {
    MutexLock l(mu_);
    return messages_.size();
  }
  std::size_t MessagesOf(SessionId session) {
    MutexLock l(mu_);
    return messages_[session].size();
  }
  // What it has said, as it was passed on.
  v1::Hello HelloOf(SessionId session) {
    MutexLock l(mu_);
    return messages_[session].front().hello();
  }
  SessionId FirstSession() {
    MutexLock l(mu_);
    return messages_.begin()->first;
  }

  Server* server = nullptr;
  std::atomic<bool> echo{false};
  std::atomic<bool> read_on{true};
  std::atomic<int> gone{0};
  std::atomic<bool> serves{true};

 private:
  Mutex mu_;
  std::map<SessionId, std::vector<v1::WorkerMessage>> messages_ GUARDED_BY(mu_);
};

}  // namespace backfill::coordinator
