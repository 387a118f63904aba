#include "worker/link/conversation.h"

#include <utility>

#include "base/log.h"

namespace backfill::worker {
namespace {

constexpr std::uint32_t kProtocolVersion = 1;

}  // namespace

v1::WorkerMessage Conversation::OnConnected(std::uint64_t stream) {
  stream_ = stream;
  welcomed_ = false;
  v1::WorkerMessage message;
  v1::Hello& hello = *message.mutable_hello();
  hello.set_protocol_version(kProtocolVersion);
  hello.set_backfill_uid(options_.uid);
  hello.set_stage(options_.stage);
  hello.set_worker(options_.worker);
  hello.set_instance(options_.instance);
  return message;
}

void Conversation::OnDisconnected(std::uint64_t stream, const Error& error, Time now) {
  if (stream == stream_) LoseStream();
  const bool refused =
      error.code == ErrorCode::kUnauthenticated || error.code == ErrorCode::kPermission;
  Log(refused ? LogLevel::kWarning : LogLevel::kInfo, "the stream to the coordinator ended",
      {{"error", error.message}});
  if (!refused) return;
  if (!refused_since_) refused_since_ = now;
  if (now - *refused_since_ >= options_.refused_for) EndAs(SessionEnd::kRefused);
}

bool Conversation::Hears(std::uint64_t stream) {
  if (stream != stream_ || end_) return false;
  refused_since_.reset();
  return true;
}

bool Conversation::OnWelcome(const v1::Welcome& welcome) {
  if (welcomed_) return false;
  if (welcome.protocol_version() > kProtocolVersion + 1) {
    Log(LogLevel::kError, "the coordinator speaks a protocol that this worker does not know");
    EndAs(SessionEnd::kOutOfStep);
    return false;
  }
  std::string workload = welcome.workload().SerializeAsString();
  if (!begun()) {
    if (const Status accepted = host_.OnWorkload(welcome.workload()); !accepted) {
      GiveUp(accepted.error());
      return false;
    }
    workload_ = std::move(workload);
  } else if (workload_ != workload) {
    // A fresh process takes it up: to give up what is under way here can take long.
    Log(LogLevel::kError, "the coordinator changed the workload");
    EndAs(SessionEnd::kOutOfStep);
    return false;
  }
  welcomed_ = true;
  return true;
}

void Conversation::GiveUp(const Error& why) {
  Log(LogLevel::kError, "the workload cannot be done", {{"error", why.message}});
  EndAs(SessionEnd::kBadWorkload);
}

}  // namespace backfill::worker
