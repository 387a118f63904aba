#include "operator/coordinator/server.h"

#include "tests/operator/coordinator/worker_client.h"

#include <fcntl.h>
#include <grpcpp/generic/generic_stub.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <vector>

#include "tests/fakes/manual_clock.h"
#include "tests/operator/coordinator/session_recorder.h"

namespace backfill::coordinator {
namespace {

using namespace std::chrono_literals;
using grpc::StatusCode;
using ::testing::HasSubstr;
using v1::CoordinatorMessage;

constexpr char kToken[] = "correct-horse";

class ServerTest : public ::testing::Test {
 protected:
  ServerTest() {
    char directory[] = "/tmp/backfill-server-XXXXXX";
    directory_ = mkdtemp(directory);
    options_.unix_socket = directory_ + "/run/c.sock";
    options_.token = kToken;
  }
  ~ServerTest() override {
    server_.reset();
    std::filesystem::remove_all(directory_);
  }
  Status Start() {
    server_ = std::make_unique<Server>(options_, clock_, recorder_);
    recorder_.server = server_.get();
    return server_->Start();
  }
  std::unique_ptr<WorkerClient> Client(const std::string& token = kToken) {
    return std::make_unique<WorkerClient>(server_->address(), token);
  }
  bool Connected(std::size_t n) {
    return Eventually([&] { return recorder_.sessions() >= n; });
  }

  std::string directory_;
  ServerOptions options_;
  fakes::ManualClock clock_;
  SessionRecorder recorder_;
  std::unique_ptr<Server> server_;
};

// ---- where it listens

TEST_F(ServerTest, TheSocketIsOursAlone) {
  ASSERT_TRUE(Start().ok());
  struct stat info{};
  ASSERT_EQ(stat(options_.unix_socket.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  ASSERT_EQ(stat((directory_ + "/run").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  server_->Shutdown();
  EXPECT_NE(stat(options_.unix_socket.c_str(), &info), 0);
}

TEST_F(ServerTest, APathThatIsTooLongIsInvalidSoThatTheCallerChoosesAnother) {
  options_.unix_socket = directory_ + "/" + std::string(120, 'x');
  const Status started = Start();
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(started.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(started.error().message, HasSubstr("longer than 107"));
}

TEST_F(ServerTest, ADirectoryThatOthersMayEnterIsRefused) {
  ASSERT_EQ(mkdir((directory_ + "/run").c_str(), 0755), 0);
  const Status started = Start();
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(started.error().code, ErrorCode::kInvalid);
}

TEST_F(ServerTest, ReplacesTheSocketOfADeadPredecessorButNoOtherFile) {
  ASSERT_EQ(mkdir((directory_ + "/run").c_str(), 0700), 0);
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  options_.unix_socket.copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  close(fd);
  EXPECT_TRUE(Start().ok());
  server_->Shutdown();
  const int file = creat(options_.unix_socket.c_str(), 0600);
  ASSERT_GE(file, 0);
  close(file);
  EXPECT_EQ(Start().error().code, ErrorCode::kInvalid);
}

TEST_F(ServerTest, WithoutASocketItListensOnThisHostOnly) {
  options_.unix_socket.clear();
  ASSERT_TRUE(Start().ok());
  EXPECT_THAT(server_->address(), ::testing::StartsWith("127.0.0.1:"));
  const auto client = Client();
  ASSERT_TRUE(client->Hello("u", "run", "run-0"));
  EXPECT_TRUE(Connected(1));
}

TEST_F(ServerTest, WithoutATokenItDoesNotStart) {
  options_.token.clear();
  EXPECT_EQ(Start().error().code, ErrorCode::kInvalid);
}

// ---- who may speak

TEST_F(ServerTest, OnlyTheExactTokenIsTaken) {
  ASSERT_TRUE(Start().ok());
  int refused = 0;
  for (const std::string& token :
       {std::string(), std::string("correct-hors"), std::string("correct-horse2"),
        std::string("correct-hOrse"), std::string(1000, 'x')}) {
    const auto client = Client(token);
    client->Hello("u", "run", "run-0");
    const grpc::Status status = client->Finish();
    EXPECT_EQ(status.error_code(), StatusCode::UNAUTHENTICATED);
    EXPECT_EQ(status.error_message(), "not accepted");
    ++refused;
  }
  EXPECT_EQ(server_->counts().unauthenticated, static_cast<std::uint64_t>(refused));
  EXPECT_EQ(recorder_.sessions(), 0u);
}

TEST_F(ServerTest, TheSchemeMattersAndATokenMustNotComeTwice) {
  ASSERT_TRUE(Start().ok());
  const auto basic = Client("");
  basic->context().AddMetadata("authorization", std::string("Basic ") + kToken);
  EXPECT_EQ(basic->Finish().error_code(), StatusCode::UNAUTHENTICATED);
  const auto twice = Client();
  twice->context().AddMetadata("authorization", std::string("Bearer ") + kToken);
  EXPECT_EQ(twice->Finish().error_code(), StatusCode::UNAUTHENTICATED);
}

// ---- what every stream must obey

TEST_F(ServerTest, AStreamThatSaysNothingEndsAfterTheTimeForHello) {
  ASSERT_TRUE(Start().ok());
  const auto silent = Client();
  const auto polite = Client();
  ASSERT_TRUE(polite->Hello("u", "run", "run-0"));
  ASSERT_TRUE(Connected(1));
  std::thread reader(
      [&] { EXPECT_EQ(silent->Finish().error_code(), StatusCode::DEADLINE_EXCEEDED); });
  ASSERT_TRUE(Eventually([&] { return server_->counts().streams == 2; }));
  clock_.Advance(9900ms);
  server_->Tick();
  EXPECT_EQ(recorder_.gone, 0);
  clock_.Advance(200ms);
  server_->Tick();
  reader.join();
  EXPECT_TRUE(Eventually([&] { return recorder_.gone == 1; }));  // the other one stays
}

TEST_F(ServerTest, HelloMustComeFirst) {
  ASSERT_TRUE(Start().ok());
  const auto client = Client();
  ASSERT_TRUE(client->Progress(1));
  EXPECT_EQ(client->Finish().error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(recorder_.sessions(), 0u);
  EXPECT_EQ(server_->counts().broken, 1u);
}

TEST_F(ServerTest, HelloMustComeOnce) {
  ASSERT_TRUE(Start().ok());
  const auto client = Client();
  ASSERT_TRUE(client->Hello("u", "run", "run-0"));
  ASSERT_TRUE(client->Hello("u", "run", "run-0"));
  EXPECT_EQ(client->Finish().error_code(), StatusCode::INVALID_ARGUMENT);
}

TEST_F(ServerTest, SequenceNumbersMustRise) {
  ASSERT_TRUE(Start().ok());
  const auto client = Client();
  ASSERT_TRUE(client->Hello("u", "run", "run-0"));
  v1::WorkerMessage message;
  message.mutable_progress();
  message.set_sequence(7);  // a gap is fine
  ASSERT_TRUE(client->Send(message));
  ASSERT_TRUE(client->Send(message));
  EXPECT_EQ(client->Finish().error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(recorder_.MessagesOf(recorder_.FirstSession()), 2u);
}

TEST_F(ServerTest, OneNewerProtocolVersionIsSpokenWithTwoAreNot) {
  ASSERT_TRUE(Start().ok());
  for (const auto& [version, code] :
       std::map<std::uint32_t, StatusCode>{{0, StatusCode::FAILED_PRECONDITION},
                                           {2, StatusCode::OK},
                                           {3, StatusCode::FAILED_PRECONDITION},
                                           {4'294'967'295u, StatusCode::FAILED_PRECONDITION}}) {
    const auto client = Client();
    v1::WorkerMessage message;
    message.mutable_hello()->set_protocol_version(version);
    ASSERT_TRUE(client->Send(message));
    if (code == StatusCode::OK) {
      ASSERT_TRUE(Connected(1));
      client->WritesDone();
    }
    EXPECT_EQ(client->Finish().error_code(), code) << version;
  }
}

TEST_F(ServerTest, AMessageOfAnUnknownKindIsPassedOn) {
  ASSERT_TRUE(Start().ok());
  recorder_.echo = true;
  const auto client = Client();
  ASSERT_TRUE(client->Hello("u", "run", "run-0"));
  v1::WorkerMessage message;
  message.GetReflection()->MutableUnknownFields(&message)->AddLengthDelimited(99,
                                                                              "from the future");
  ASSERT_TRUE(client->Send(message));
  CoordinatorMessage answer;
  ASSERT_TRUE(client->Read(&answer));
  ASSERT_TRUE(client->Read(&answer));
  EXPECT_EQ(answer.answers(), 2u);
}

TEST_F(ServerTest, BytesThatAreNoMessageEndTheStreamOnly) {
  ASSERT_TRUE(Start().ok());
  const auto client = Client();
  grpc::GenericStub stub(client->channel());
  grpc::ClientContext context;
  context.AddMetadata("authorization", std::string("Bearer ") + kToken);
  context.set_deadline(std::chrono::system_clock::now() + 10s);
  grpc::CompletionQueue queue;
  const auto stream = stub.PrepareCall(&context, "/backfill.v1.Coordinator/Work", &queue);
  void* tag = nullptr;
  bool ok = false;
  stream->StartCall(nullptr);
  ASSERT_TRUE(queue.Next(&tag, &ok));
  const grpc::Slice garbage(std::string("\xff\xff\xff\xff\x07garbage"));
  stream->Write(grpc::ByteBuffer(&garbage, 1), nullptr);
  ASSERT_TRUE(queue.Next(&tag, &ok));
  grpc::Status status;
  stream->Finish(&status, nullptr);
  ASSERT_TRUE(queue.Next(&tag, &ok));
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) continue;
  EXPECT_EQ(recorder_.sessions(), 0u);
  const auto other = Client();
  ASSERT_TRUE(other->Hello("u", "run", "run-0"));
  EXPECT_TRUE(Connected(1));
}

TEST_F(ServerTest, AHugeMessageIsRefused) {
  ASSERT_TRUE(Start().ok());
  const auto client = Client();
  ASSERT_TRUE(client->Hello("u", "run", "run-0"));
  v1::WorkerMessage message;
  message.mutable_shard_done()->mutable_lease()->set_done_above(std::string(5 << 20, 'x'));
  client->Send(message);
  EXPECT_EQ(client->Finish().error_code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(recorder_.MessagesOf(recorder_.FirstSession()), 1u);
}

// ---- many of them

TEST_F(ServerTest, HundredStreamsAreServedAndNoneIsLeftOver) {
  ASSERT_TRUE(Start().ok());
  recorder_.echo = true;
  std::vector<std::unique_ptr<WorkerClient>> clients;
  for (int i = 0; i < 100; ++i) {
    clients.push_back(Client());
    ASSERT_TRUE(clients.back()->Hello("u", "run", "run-" + std::to_string(i)));
  }
  for (int i = 0; i < 100; ++i) {
    CoordinatorMessage answer;
    ASSERT_TRUE(clients[static_cast<std::size_t>(i)]->Read(&answer));
    if (i % 3 == 0) clients[static_cast<std::size_t>(i)]->context().TryCancel();  // midway
    if (i % 3 == 1) clients[static_cast<std::size_t>(i)]->WritesDone();
  }
  clients.clear();
  EXPECT_TRUE(Eventually([&] { return recorder_.gone == 100; }));
}

TEST_F(ServerTest, BeyondTheLimitStreamsAreRefusedUntilOneEnds) {
  options_.max_streams = 2;
  ASSERT_TRUE(Start().ok());
  auto first = Client(), second = Client();
  ASSERT_TRUE(first->Hello("u", "run", "run-0"));
  ASSERT_TRUE(second->Hello("u", "run", "run-1"));
  ASSERT_TRUE(Connected(2));
  const auto third = Client();
  third->Hello("u", "run", "run-2");
  EXPECT_EQ(third->Finish().error_code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(server_->counts().refused, 1u);
  first.reset();
  ASSERT_TRUE(Eventually([&] { return recorder_.gone == 1; }));
  const auto fourth = Client();
  ASSERT_TRUE(fourth->Hello("u", "run", "run-3"));
  EXPECT_TRUE(Connected(3));
}

// ---- what is sent

// Fills the connection: what is sent from now on stays in the outbox until the worker reads. The
// transport takes one or two of these by itself.
constexpr int kFill = 5;
void Fill(Server& server, SessionId session) {
  for (int i = 0; i < kFill; ++i) {
    CoordinatorMessage big;
    big.mutable_welcome()->mutable_workload()->set_backfill_name(std::string(3 << 20, 'x'));
    server.Send(session, std::move(big));
  }
}

TEST_F(ServerTest, OfQueuedGrantsLimitsAndPausesOnlyTheLatestIsSent) {
  ASSERT_TRUE(Start().ok());
  const auto client = Client();
  ASSERT_TRUE(client->Hello("u", "run", "run-0"));
  ASSERT_TRUE(Connected(1));
  const SessionId session = recorder_.FirstSession();
  Fill(*server_, session);
  for (std::uint64_t i = 1; i <= 1000; ++i) {
    CoordinatorMessage grant, limits, pause;
    grant.mutable_grant()->set_sequence(i);
    limits.mutable_limits()->set_concurrency(static_cast<std::uint32_t>(i));
    pause.mutable_pause()->set_paused(i % 2 == 0);
    server_->Send(session, std::move(grant));
    server_->Send(session, std::move(limits));
    server_->Send(session, std::move(pause));
  }
  server_->Close(session, {ErrorCode::kUnavailable, "the end"});
  int messages = 0;
  v1::Grant grant;
  v1::Limits limits;
  v1::Pause pause;
  CoordinatorMessage message;
  while (client->Read(&message)) {
    ++messages;
    if (message.has_grant()) grant = message.grant();
    if (message.has_limits()) limits = message.limits();
    if (message.has_pause()) pause = message.pause();
  }
  EXPECT_EQ(messages, kFill + 3);
  EXPECT_EQ(grant.sequence(), 1000u);
  EXPECT_EQ(limits.concurrency(), 1000u);
  EXPECT_TRUE(pause.paused());
  EXPECT_EQ(client->Finish().error_code(), StatusCode::UNAVAILABLE);  // what was queued came first
}

TEST_F(ServerTest, AWorkerThatDoesNotReadIsCut) {
  ASSERT_TRUE(Start().ok());
  const auto client = Client();
  ASSERT_TRUE(client->Hello("u", "run", "run-0"));
  ASSERT_TRUE(Connected(1));
  const SessionId session = recorder_.FirstSession();
  Fill(*server_, session);
  for (int i = 0; i < 300; ++i) {
    CoordinatorMessage ack;
    ack.mutable_ack();
    server_->Send(session, std::move(ack));
  }
  EXPECT_TRUE(Eventually([&] { return recorder_.gone == 1; }));
  EXPECT_FALSE(client->Finish().ok());
}

TEST_F(ServerTest, AWorkerThatDoesNotTakeItsEndIsCut) {
  ASSERT_TRUE(Start().ok());
  const auto client = Client();
  ASSERT_TRUE(client->Hello("u", "run", "run-0"));
  ASSERT_TRUE(Connected(1));
  const SessionId session = recorder_.FirstSession();
  Fill(*server_, session);
  server_->Close(session, {ErrorCode::kUnavailable, "the end"});
  server_->Tick();
  EXPECT_EQ(recorder_.gone, 0);
  clock_.Advance(6s);
  server_->Tick();
  EXPECT_TRUE(Eventually([&] { return recorder_.gone == 1; }));
}

TEST_F(ServerTest, TheNextMessageIsReadOnlyWhenAskedFor) {
  recorder_.read_on = false;
  ASSERT_TRUE(Start().ok());
  const auto client = Client();
  ASSERT_TRUE(client->Hello("u", "run", "run-0"));
  ASSERT_TRUE(client->Progress(1));
  ASSERT_TRUE(Connected(1));
  const SessionId session = recorder_.FirstSession();
  std::this_thread::sleep_for(50ms);  // it would have come by then
  EXPECT_EQ(recorder_.MessagesOf(session), 1u);
  server_->ReadNext(session);
  EXPECT_TRUE(Eventually([&] { return recorder_.MessagesOf(session) == 2; }));
}

TEST_F(ServerTest, WhatIsSentToASessionThatIsGoneIsDropped) {
  ASSERT_TRUE(Start().ok());
  auto client = Client();
  ASSERT_TRUE(client->Hello("u", "run", "run-0"));
  ASSERT_TRUE(Connected(1));
  const SessionId session = recorder_.FirstSession();
  client.reset();
  ASSERT_TRUE(Eventually([&] { return recorder_.gone == 1; }));
  server_->Send(session, CoordinatorMessage());
  server_->ReadNext(session);
  server_->Close(session, {ErrorCode::kUnavailable, ""});
  EXPECT_EQ(recorder_.gone, 1);
}

// ---- the end

TEST_F(ServerTest, ShutdownEndsStreamsAndReturnsInTime) {
  options_.shutdown_timeout = 300ms;
  ASSERT_TRUE(Start().ok());
  const auto reading = Client(), stuck = Client();
  ASSERT_TRUE(reading->Hello("u", "run", "run-0"));
  ASSERT_TRUE(stuck->Hello("u", "run", "run-1"));
  ASSERT_TRUE(Connected(2));
  Fill(*server_, recorder_.FirstSession());
  const auto begin = std::chrono::steady_clock::now();
  std::thread reader([&] { reading->Finish(); });
  server_->Shutdown();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 3s);
  reader.join();
  EXPECT_EQ(recorder_.gone, 2);  // nothing comes after Shutdown() has returned
  server_->Shutdown();
}

}  // namespace
}  // namespace backfill::coordinator
