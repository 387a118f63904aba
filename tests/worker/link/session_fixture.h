#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "worker/link/session.h"

namespace backfill::worker {

class FakeHost final : public Session::Host {
 public:
  bool Send(std::uint64_t stream, v1::WorkerMessage message) override {
    if (broken) return false;
    EXPECT_EQ(stream, current);
    sent.push_back(std::move(message));
    return true;
  }
  void SetReconnectWindow(Duration window) override { reconnect_window = window; }
  void ReconnectSoon() override { ++reconnects; }
  Status OnWorkload(const v1::Workload&) override {
    if (refuse) return Error{ErrorCode::kInvalid, "cannot"};
    return Ok{};
  }
  std::vector<TargetSample> TakeSamples() override { return std::exchange(samples, {}); }
  void OnExtent(const v1::FileExtent& extent) override { extents.push_back(extent); }

  std::uint64_t current = 1;
  bool broken = false;
  bool refuse = false;
  Duration reconnect_window{};
  int reconnects = 0;
  std::vector<v1::WorkerMessage> sent;
  std::vector<TargetSample> samples;
  std::vector<v1::FileExtent> extents;
};

class SessionTest : public ::testing::Test {
 protected:
  void Connect() { session_.OnConnected(host_.current, now_); }
  void Reconnect() {
    session_.OnDisconnected(host_.current, {ErrorCode::kUnavailable, "gone"}, now_);
    ++host_.current;
    Connect();
  }
  void Tell(v1::CoordinatorMessage message, std::uint64_t answers) {
    message.set_answers(answers);
    session_.OnMessage(host_.current, message, now_);
  }
  void TellAll(v1::CoordinatorMessage message) { Tell(std::move(message), LastSequence()); }
  v1::CoordinatorMessage Welcome(const std::vector<std::int32_t>& kept = {}) const {
    v1::CoordinatorMessage m;
    m.mutable_welcome()->set_protocol_version(1);
    m.mutable_welcome()->set_epoch(epoch_);
    m.mutable_welcome()->mutable_workload()->set_batch_size(1);
    m.mutable_welcome()->mutable_workload()->set_backfill_uid("u");
    m.mutable_welcome()->mutable_limits()->set_concurrency(4);
    m.mutable_welcome()->mutable_limits()->set_attempts(1);
    m.mutable_welcome()->mutable_limits()->set_report_period_ms(1000);
    m.mutable_welcome()->set_fence_ms(50'000);
    m.mutable_welcome()->set_max_leases(2);
    m.mutable_welcome()->set_reconnect_window_ms(700);
    for (const std::int32_t shard : kept) *m.mutable_welcome()->add_kept() = Ref(shard);
    return m;
  }
  v1::LeaseRef Ref(std::int32_t shard, std::uint32_t attempt = 1) const {
    v1::LeaseRef ref;
    ref.set_shard(shard);
    ref.set_attempt(attempt);
    ref.set_epoch(epoch_);
    return ref;
  }
  v1::CoordinatorMessage Lease(std::int32_t shard, Position begin, Position end) const {
    v1::CoordinatorMessage m;
    *m.mutable_lease()->mutable_lease() = Ref(shard);
    m.mutable_lease()->set_begin(begin);
    m.mutable_lease()->set_end(end);
    m.mutable_lease()->set_cursor(begin);
    return m;
  }
  v1::CoordinatorMessage Ack(const std::vector<std::int32_t>& held,
                             const std::vector<std::int32_t>& done = {}) const {
    v1::CoordinatorMessage m;
    m.mutable_ack();
    for (const auto s : held) *m.mutable_ack()->add_held() = Ref(s);
    for (const auto s : done) *m.mutable_ack()->add_done() = Ref(s);
    return m;
  }
  v1::CoordinatorMessage Grant(std::uint64_t sequence, double rate,
                               std::uint32_t valid_ms = 30'000) const {
    v1::CoordinatorMessage m;
    m.mutable_grant()->set_sequence(sequence);
    m.mutable_grant()->set_records_per_second(rate);
    m.mutable_grant()->set_burst(1e6);
    m.mutable_grant()->set_valid_for_ms(valid_ms);
    return m;
  }
  // Connected, welcomed, with a lease of shard 1 over [0, 100) and a rate.
  void Begin() {
    Connect();
    Tell(Welcome(), 1);
    TellAll(Grant(1, 1e6));
    TellAll(Lease(1, 0, 100));
    now_ += 10ms;
  }
  std::uint64_t LastSequence() const {
    return host_.sent.empty() ? 0 : host_.sent.back().sequence();
  }
  std::vector<v1::WorkerMessage> Sent() { return std::exchange(host_.sent, {}); }
  void Wait(Duration d) {
    now_ += d;
    session_.Tick(now_);
  }
  // Sends the next records and answers them.
  int Work(int records, Outcome outcome = Outcome::kUpdated) {
    int n = 0;
    Engine& e = session_.engine();
    for (; n < records; ++n) {
      while (const auto wants = e.WantsRecords()) {
        std::vector<Record> block;
        for (std::uint64_t i = 0; i < wants->max; ++i) {
          const Position p = Advance(wants->from, i);
          block.push_back({.position = p, .key = std::to_string(p)});
        }
        EXPECT_TRUE(e.OnRecords(wants->run, std::move(block)).ok());
      }
      const auto d = e.Next(now_);
      if (!d) break;
      e.OnResult(d->slot, {.verdict = {outcome, FailureClass::kPermanent, "no"}}, now_);
    }
    return n;
  }
  std::vector<const v1::Progress*> Reports() const {
    std::vector<const v1::Progress*> out;
    for (const auto& m : host_.sent) {
      if (m.has_progress()) out.push_back(&m.progress());
    }
    return out;
  }

  std::uint64_t epoch_ = 7;
  std::uint64_t grants_ = 1;
  Time now_{1h};
  FakeHost host_;
  Session session_{{.uid = "u", .stage = "run", .worker = "run-0", .instance = "i"}, host_};
};

}  // namespace backfill::worker
