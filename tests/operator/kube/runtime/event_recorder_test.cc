#include "operator/kube/runtime/event_recorder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/utf8.h"
#include "recorded_metrics.h"
#include "tests/fakes/manual_clock.h"

namespace backfill::kube {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::HasSubstr;
using testing::SizeIs;
using WriteKind = EventWrite::Kind;

Event Happened(const std::string& reason, const std::string& note,
               const std::string& object = "reprice") {
  return {.regarding = {.api_version = "backfill.dev/v1alpha1",
                        .kind = "Backfill",
                        .ns = "shop",
                        .name = object,
                        .uid = "u-" + object},
          .type = EventType::kWarning,
          .reason = reason,
          .action = "Run",
          .note = note};
}

// ---- what is worth a write

class EventAggregationTest : public testing::Test {
 protected:
  std::optional<EventWrite> See(const Event& event) {
    const auto write = aggregation_->OnEvent(event, clock_.Steady(), clock_.Wall());
    if (write) aggregation_->OnWritten(*write);
    return write;
  }
  void Restart(const EventAggregation::Options& options) { aggregation_.emplace(options); }
  fakes::ManualClock clock_;
  std::optional<EventAggregation> aggregation_{std::in_place, EventAggregation::Options{}};
};

TEST_F(EventAggregationTest, TheFirstIsCreatedAndTheSameAgainIsCounted) {
  const auto first = See(Happened("Throttled", "p99 over 200 ms"));
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->kind, WriteKind::kCreate);
  EXPECT_EQ(first->count, 1);
  EXPECT_EQ(first->ns, "shop");
  EXPECT_THAT(first->name, testing::MatchesRegex("reprice\\.[0-9a-f]+"));
  clock_.Advance(1min);
  const auto again = See(Happened("Throttled", "p99 over 200 ms"));
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->kind, WriteKind::kSeries);
  EXPECT_EQ(again->name, first->name);
  EXPECT_EQ(again->count, 2);
  EXPECT_EQ(again->last - again->first, 1min);
}

TEST_F(EventAggregationTest, AfterTenQuietMinutesItIsANewEvent) {
  const auto first = See(Happened("Throttled", "p99"));
  clock_.Advance(10min);
  const auto later = See(Happened("Throttled", "p99"));
  EXPECT_EQ(later->kind, WriteKind::kCreate);
  EXPECT_NE(later->name, first->name);
}

TEST_F(EventAggregationTest, OverTenThatAreAlikeAreOneSeries) {
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(See(Happened("RecordsFailing", "record " + std::to_string(i)))->kind,
              WriteKind::kCreate);
  }
  const auto eleventh = See(Happened("RecordsFailing", "record 10"));
  EXPECT_EQ(eleventh->kind, WriteKind::kCreate);
  EXPECT_EQ(eleventh->event.note, "(combined from similar events): record 10");
  const auto twelfth = See(Happened("RecordsFailing", "record 11"));
  EXPECT_EQ(twelfth->kind, WriteKind::kSeries);
  EXPECT_EQ(twelfth->name, eleventh->name);
  EXPECT_EQ(twelfth->count, 2);
  EXPECT_EQ(See(Happened("Throttled", "record 11"))->kind, WriteKind::kCreate);  // not alike
}

TEST_F(EventAggregationTest, F26_OfOneObjectTwentyFiveThenOneInFiveMinutes) {
  int written = 0;
  std::int64_t last_count = 0;
  for (int second = 0; second < 3600; ++second) {
    if (const auto write = See(Happened("Throttled", "p99"))) {
      ++written;
      last_count = write->count;
    }
    EXPECT_TRUE(second != 30 || See(Happened("Throttled", "p99", "other")));  // each for itself
    clock_.Advance(1s);
  }
  EXPECT_EQ(written, 25 + 3599 / 300);
  EXPECT_GT(last_count, 3300);  // what was not written was counted
}

TEST_F(EventAggregationTest, WhatWasNotWrittenAtFirstIsCreatedWithItsCount) {
  Restart({.object_burst = 1});
  EXPECT_TRUE(See(Happened("A", "")));
  EXPECT_FALSE(See(Happened("B", "")));
  clock_.Advance(5min);
  const auto write = See(Happened("B", ""));
  ASSERT_TRUE(write.has_value());
  EXPECT_EQ(write->kind, WriteKind::kCreate);
  EXPECT_EQ(write->count, 2);
}

TEST_F(EventAggregationTest, ItsMemoryIsBounded) {
  Restart({.max_keys = 2});
  const auto a = See(Happened("A", "", "a"));
  See(Happened("A", "", "b"));
  See(Happened("A", "", "c"));  // a is forgotten
  const auto again = See(Happened("A", "", "a"));
  EXPECT_EQ(again->kind, WriteKind::kCreate);
  EXPECT_NE(again->name, a->name);
  EXPECT_EQ(See(Happened("A", "", "c"))->kind, WriteKind::kSeries);
}

TEST(EventTest, IsCutToWhatTheApiTakes) {
  Event event = Happened(std::string(200, 'R'), std::string(1023, 'x') + "\xc3\xa4");
  event.action = "bad \xff byte";
  event = Bounded(event);
  EXPECT_EQ(event.reason.size(), 128U);
  EXPECT_EQ(event.note, std::string(1023, 'x'));  // not half a character
  EXPECT_EQ(event.action, "bad ");
}

TEST_F(EventAggregationTest, ACombinedNoteAndALongNameFitToo) {
  Event event = Happened("A", "");
  event.regarding.name = std::string(253, 'n');
  for (int i = 0; i < 12; ++i) {
    event.note = std::to_string(i) + std::string(1020, 'x');
    const auto write = See(Bounded(event));
    EXPECT_LE(write->event.note.size(), 1024U);
    EXPECT_LE(write->name.size(), 253U);
  }
}

// ---- the recorder

class ToldSink final : public EventSink {
 public:
  ApiResult<Ok> Write(const EventWrite& write, Time, std::stop_token) override {
    MutexLock l(mu_);
    writes_.push_back(write);
    changed_.notify_all();
    changed_.wait_for(mu_, 30s, [this]() REQUIRES(mu_) { return !corked_ || pass_ > 0; });
    if (pass_ > 0) --pass_;
    if (errors_.empty()) return Ok{};
    ApiError e;
    e.kind = errors_.front();
    e.message = "said the server";
    errors_.erase(errors_.begin());
    return e;
  }
  void Cork() {
    MutexLock l(mu_);
    corked_ = true;
  }
  void Uncork() {
    MutexLock l(mu_);
    corked_ = false;
    changed_.notify_all();
  }
  void UncorkOne() {
    MutexLock l(mu_);
    ++pass_;
    changed_.notify_all();
  }
  void FailWith(std::vector<ApiErrorKind> errors) {
    MutexLock l(mu_);
    errors_ = std::move(errors);
  }
  bool WaitForWrites(std::size_t n) {
    MutexLock l(mu_);
    return changed_.wait_for(mu_, 30s, [&]() REQUIRES(mu_) { return writes_.size() >= n; });
  }
  std::vector<EventWrite> writes() {
    MutexLock l(mu_);
    return writes_;
  }

 private:
  Mutex mu_;
  std::condition_variable_any changed_;
  std::vector<EventWrite> writes_ GUARDED_BY(mu_);
  std::vector<ApiErrorKind> errors_ GUARDED_BY(mu_);
  bool corked_ GUARDED_BY(mu_) = false;
  int pass_ GUARDED_BY(mu_) = 0;
};

class EventRecorderTest : public testing::Test {
 protected:
  EventRecorderTest() { Begin({}); }
  void Begin(EventRecorder::Options options) {
    options.first_wait = 1ms;
    recorder_ = std::make_unique<EventRecorder>(options, sink_, clock_, metrics_);
  }
  double Dropped(const std::string& reason) {
    return metrics_.Value("backfill_events_dropped_total{reason=" + reason + "}");
  }
  SystemClock clock_;
  RecordedMetrics metrics_;
  ToldSink sink_;
  std::unique_ptr<EventRecorder> recorder_;
};

TEST_F(EventRecorderTest, SendsInOrderAndAtTheEndWhatIsLeft) {
  recorder_->Start();
  sink_.Cork();
  for (const char* reason : {"Planned", "Approved", "Completed"}) {
    recorder_->Record(Happened(reason, ""));
  }
  EXPECT_TRUE(sink_.WaitForWrites(1));
  sink_.Uncork();
  recorder_->Stop();
  const auto writes = sink_.writes();
  ASSERT_THAT(writes, SizeIs(3));
  EXPECT_EQ(writes[0].event.reason, "Planned");
  EXPECT_EQ(writes[2].event.reason, "Completed");
  recorder_->Record(Happened("Late", ""));
  EXPECT_EQ(Dropped("full"), 1);
  recorder_->Stop();
}

TEST_F(EventRecorderTest, NeverWaitsAndDropsWhatIsTooMuch) {
  Begin({.max_queued = 10});
  EXPECT_EQ(Dropped("full"), 0);
  recorder_->Start();
  sink_.Cork();
  recorder_->Record(Happened("First", ""));
  EXPECT_TRUE(sink_.WaitForWrites(1));  // it is on its way, the rest waits
  for (int i = 0; i < 15; ++i) recorder_->Record(Happened("A", std::to_string(i)));
  EXPECT_EQ(Dropped("full"), 5);
  sink_.Uncork();
}

TEST_F(EventRecorderTest, TriesAgainWhatMaySucceedAndNothingElse) {
  using enum ApiErrorKind;
  sink_.FailWith({kUnavailable, kTooManyRequests});
  recorder_->Start();
  recorder_->Record(Happened("A", ""));
  EXPECT_TRUE(sink_.WaitForWrites(3));
  sink_.FailWith({kForbidden});
  recorder_->Record(Happened("B", ""));
  recorder_->Record(Happened("C", ""));
  EXPECT_TRUE(sink_.WaitForWrites(5));
  recorder_->Stop();
  EXPECT_THAT(sink_.writes(), SizeIs(5));
  EXPECT_EQ(Dropped("failed"), 1);
}

TEST_F(EventRecorderTest, ASeriesWhoseEventHasGoneIsCreatedAnew) {
  recorder_->Start();
  sink_.Cork();
  recorder_->Record(Happened("A", ""));
  EXPECT_TRUE(sink_.WaitForWrites(1));
  recorder_->Record(Happened("A", ""));
  sink_.UncorkOne();
  EXPECT_TRUE(sink_.WaitForWrites(2));
  sink_.FailWith({ApiErrorKind::kNotFound});
  sink_.Uncork();
  EXPECT_TRUE(sink_.WaitForWrites(3));
  const auto writes = sink_.writes();
  EXPECT_EQ(writes[1].kind, WriteKind::kSeries);
  EXPECT_EQ(writes[2].kind, WriteKind::kCreate);
  EXPECT_EQ(writes[2].count, 2);
}

TEST_F(EventRecorderTest, F26_AFloodCostsFewWrites) {
  recorder_->Start();
  for (int i = 0; i < 500; ++i) recorder_->Record(Happened("A", std::to_string(i)));
  recorder_->Stop();
  EXPECT_THAT(sink_.writes(), SizeIs(25));
  EXPECT_EQ(Dropped("spam"), 475);
}

// ---- on the wire

class KeepingTransport final : public HttpTransport {
 public:
  Result<HttpResponse> Send(const HttpRequest& request, Time, std::stop_token) override {
    sent = request;
    return HttpResponse{.status = status, .body = {}, .retry_after = {}, .warnings = {}};
  }
  Result<HttpResponse> Stream(const HttpRequest&, const StreamLimits&, std::stop_token,
                              const std::function<bool(std::string_view)>&) override {
    return Error{ErrorCode::kInternal, "no stream"};
  }
  HttpRequest sent;
  int status = 201;
};

TEST(HttpEventSinkTest, WritesEventsOfTheNewGroup) {
  KeepingTransport transport;
  HttpEventSink sink(transport, "backfill.dev/operator", "operator-0");
  const WallTime first{1'800'000'000s};
  EventWrite write{.kind = WriteKind::kCreate,
                   .ns = "shop",
                   .name = "reprice.1",
                   .event = Happened("Throttled", "p99 over 200 ms"),
                   .count = 1,
                   .first = first,
                   .last = first + 90s};
  ASSERT_TRUE(sink.Write(write, {}, {}).ok());
  EXPECT_EQ(transport.sent.target, "/apis/events.k8s.io/v1/namespaces/shop/events");
  EXPECT_EQ(json::parse(transport.sent.body), json::parse(R"({
    "apiVersion": "events.k8s.io/v1", "kind": "Event",
    "metadata": {"namespace": "shop", "name": "reprice.1"},
    "eventTime": "2027-01-15T08:00:00.000000Z",
    "reportingController": "backfill.dev/operator", "reportingInstance": "operator-0",
    "regarding": {"apiVersion": "backfill.dev/v1alpha1", "kind": "Backfill", "namespace": "shop",
                  "name": "reprice", "uid": "u-reprice"},
    "type": "Warning", "reason": "Throttled", "action": "Run", "note": "p99 over 200 ms"})"));

  write.kind = WriteKind::kSeries;
  write.count = 7;
  transport.status = 200;
  ASSERT_TRUE(sink.Write(write, {}, {}).ok());
  EXPECT_EQ(transport.sent.method, HttpMethod::kPatch);
  EXPECT_EQ(transport.sent.target, "/apis/events.k8s.io/v1/namespaces/shop/events/reprice.1");
  EXPECT_EQ(transport.sent.content_type, "application/merge-patch+json");
  EXPECT_EQ(json::parse(transport.sent.body), json::parse(R"({
    "series": {"count": 7, "lastObservedTime": "2027-01-15T08:01:30.000000Z"}})"));

  transport.status = 403;
  const auto refused = sink.Write(write, {}, {});
  EXPECT_EQ(refused.error().kind, ApiErrorKind::kForbidden);
  EXPECT_THAT(refused.error().message, HasSubstr("recording the event Throttled"));
}

}  // namespace
}  // namespace backfill::kube
