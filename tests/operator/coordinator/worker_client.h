#pragma once

#include "base/mutex.h"  // before gRPC: Abseil defines GUARDED_BY, too

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "backfill/v1/coordinator.grpc.pb.h"

// What the tests with real streams are made of.
namespace backfill::coordinator {

// Polls until it holds; false: not within 10 s.
template <typename F>
bool Eventually(F holds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

// One stream of a worker, driven step by step.
class WorkerClient {
 public:
  WorkerClient(const std::string& address, const std::string& token)
      : WorkerClient(address, token, grpc::InsecureChannelCredentials()) {}
  WorkerClient(const std::string& address, const std::string& token,
               const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
    grpc::ChannelArguments arguments;
    // A connection of its own, as a process has.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetMaxReceiveMessageSize(4 << 20);
    channel_ = grpc::CreateCustomChannel(address, credentials, arguments);
    stub_ = v1::Coordinator::NewStub(channel_);
    if (!token.empty()) context_.AddMetadata("authorization", "Bearer " + token);
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  }
  ~WorkerClient() {
    if (!stream_) return;
    context_.TryCancel();
    Finish();
  }

  grpc::ClientContext& context() { return context_; }
  const std::shared_ptr<grpc::Channel>& channel() { return channel_; }

  // Numbers the message, unless it has a number.
  bool Send(v1::WorkerMessage message) {
    if (!stream_) stream_ = stub_->Work(&context_);
    if (message.sequence() == 0) message.set_sequence(++sequence_);
    return stream_->Write(message);
  }
  bool Hello(const std::string& uid, const std::string& stage, const std::string& worker,
             const std::string& instance = "i") {
    v1::WorkerMessage message;
    v1::Hello& hello = *message.mutable_hello();
    hello.set_protocol_version(1);
    hello.set_backfill_uid(uid);
    hello.set_stage(stage);
    hello.set_worker(worker);
    hello.set_instance(instance);
    return Send(message);
  }
  bool Progress(std::uint32_t shards_wanted) {
    v1::WorkerMessage message;
    message.mutable_progress()->set_shards_wanted(shards_wanted);
    return Send(message);
  }
  bool Read(v1::CoordinatorMessage* message) {
    if (!stream_) stream_ = stub_->Work(&context_);
    return stream_->Read(message);
  }
  // The next message of that kind; others are skipped. False: the stream has ended.
  bool ReadUntil(v1::CoordinatorMessage::BodyCase body, v1::CoordinatorMessage* message) {
    while (Read(message)) {
      if (message->body_case() == body) return true;
    }
    return false;
  }
  bool WritesDone() { return stream_->WritesDone(); }
  // Reads to the end and returns the status.
  grpc::Status Finish() {
    v1::CoordinatorMessage ignored;
    while (Read(&ignored)) continue;
    const grpc::Status status = stream_->Finish();
    stream_.reset();
    return status;
  }

 private:
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Coordinator::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::WorkerMessage, v1::CoordinatorMessage>> stream_;
  std::uint64_t sequence_ = 0;
};

}  // namespace backfill::coordinator
