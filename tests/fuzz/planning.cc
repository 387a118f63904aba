#include <limits>
#include <string>

#include "operator/coordinator/plan_run.h"
#include "tests/fakes/manual_clock.h"
#include "tests/fuzz/feedback.h"
#include "tests/fuzz/script.h"

// Workers that say anything about a file, honest or not, to the planning that serves them. What is
// taken for a plan is one that everything behind it can rely on, and stays what it is.
namespace backfill::fuzz {
namespace {

using namespace std::chrono_literals;

constexpr int kMostSteps = 200;

class Lead final : public coordinator::Leadership {
 public:
  [[nodiscard]] bool Valid(Time /*now*/) const override { return valid; }
  bool valid = true;
};

class Streams final : public coordinator::MessageSink {
 public:
  explicit Streams(const Lead& lead) : lead_(lead) {}
  void Send(SessionId /*session*/, v1::CoordinatorMessage&& message) override {
    Require(lead_.valid, "nothing leaves without leadership");
    Saw("sent " + std::string(1, static_cast<char>('a' + message.body_case())));
  }
  void Close(SessionId /*session*/, const Error& reason) override {
    Saw("closed: " + reason.message);
  }

 private:
  const Lead& lead_;
};

class World {
 public:
  explicit World(std::string_view script) : script_(script) {}

  void Play() {
    for (int step = 0; step < kMostSteps && !script_.ended(); ++step) {
      Step();
      Check();
    }
  }

 private:
  // Near to what it should be, or any number at all.
  std::uint64_t Near(std::uint64_t right) {
    switch (script_.Below(8)) {
      case 0:
        return script_.Any();
      case 1:
        return right + 1;
      case 2:
        return std::numeric_limits<std::uint64_t>::max() - script_.Below(4);
      default:
        return right;
    }
  }

  void Step() {
    v1::WorkerMessage message;
    const SessionId session{script_.Below(3)};
    switch (script_.Below(10)) {
      case 0:
        message.mutable_hello()->set_worker(script_.Below(4) == 0 ? "plan-1" : "plan-0");
        shards_ = 0;
        break;
      case 1:
      case 2:
      case 3:
        Part(*message.mutable_plan_part());
        break;
      case 4:
        End(*message.mutable_plan_end());
        break;
      case 5:
        message.mutable_plan_progress()->set_bytes_read(script_.Any());
        break;
      case 6:
        message.mutable_plan_failure()->set_kind(
            static_cast<v1::PlanFailure::Kind>(script_.Below(4)));
        message.mutable_plan_failure()->set_message(std::string(script_.Text()));
        break;
      case 7:
        lead_.valid = !lead_.valid;
        return;
      case 8:
        return run_.OnGone(session);
      default:
        // Any message of the protocol, and what it does not know.
        if (!message.ParseFromString(std::string(script_.Text()))) return;
    }
    run_.OnMessage(session, message);
  }

  void Part(v1::PlanPart& part) {
    part.set_first(Near(shards_));
    for (int i = script_.Below(4); i > 0; --i, ++shards_) {
      v1::FileExtent& e = *part.add_shards();
      e.set_first(static_cast<std::int64_t>(Near(shards_ * 10)));
      e.set_records(Near(10));
      e.set_offset(Near(3 + shards_ * 100));
      e.set_bytes(Near(100));
      e.set_line(Near(2 + shards_ * 10));
    }
  }

  void End(v1::PlanEnd& end) {
    end.set_shards(Near(shards_));
    end.set_records(Near(shards_ * 10));
    end.set_bytes(Near(3 + shards_ * 100));
    for (int i = script_.Below(3); i > 0; --i) {
      v1::BadRows& bad = *end.add_bad();
      bad.set_fault(std::string(script_.Text()));
      bad.set_rows(Near(1));
    }
  }

  void Check() {
    const auto found = run_.Found();
    Require(run_.Snapshot("").ended == (found.ok() || found.error().code != ErrorCode::kNotFound),
            "it has ended, or it has not");
    if (!found.ok()) {
      Require(!planned_, "what was found stays");
      return;
    }
    planned_ = true;
    Position at = 0;
    std::uint64_t offset = 0;
    for (const plan::PlannedShard& shard : found->shards) {
      Require(shard.range.begin == at && shard.range.end > at, "no gap and no overlap");
      Require(shard.records == shard.range.size() && shard.extent, "its records are its range");
      Require(shard.extent->offset >= offset, "its bytes are its own");
      at = shard.range.end;
      offset = shard.extent->offset + shard.extent->bytes;
    }
    Require(offset <= found->facts.bytes, "they lie in the file");
    Require(found->facts.bad_records <= static_cast<std::uint64_t>(at), "bad rows are rows");
    plan::FoundPlanner planner(*found);
    Require(plan::MakePlan(planner, {}, "work", {}).ok(), "it is a plan");
  }

  Script script_;
  std::uint64_t shards_ = 0;
  bool planned_ = false;
  fakes::ManualClock clock_;
  Lead lead_;
  Streams streams_{lead_};
  coordinator::PlanRun run_{v1::Workload(), 1s, clock_, lead_, streams_};
};

}  // namespace
}  // namespace backfill::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  backfill::fuzz::World(backfill::fuzz::View(data, size)).Play();
  return 0;
}
