#include <cmath>
#include <string>

#include "operator/observe/answers.h"
#include "operator/observe/json_pointer.h"
#include "operator/observe/json_source.h"
#include "operator/observe/prometheus_reply.h"
#include "tests/fuzz/feedback.h"

// What Prometheus, or whoever stands in its place, answers to a query; a JSON document and a
// pointer into it. Whatever it is, nothing is a number that is none.
namespace backfill::fuzz {
namespace {

void CheckDetail(throttle::Answer answer, double value, const std::string& detail) {
  Require(detail.size() <= observe::kMaxDetailBytes, "what people are told is short");
  for (const char c : detail)
    Require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f, "it is one line");
  if (answer == throttle::Answer::kValue) {
    Require(std::isfinite(value), "a value is a number");
    Saw("a value");
  } else {
    Require(!detail.empty(), "why there is none is said");
    Saw(detail);
  }
}

}  // namespace
}  // namespace backfill::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace backfill;
  using namespace backfill::fuzz;
  using throttle::Answer;
  const std::string_view bytes = View(data, size);
  for (const int status : {200, 302, 400, 401, 422, 503}) {
    const auto alone = observe::ReadQueryReply(status, bytes, observe::Reduce::kNone);
    CheckDetail(alone.answer, alone.value, alone.detail);
    Require(status == 200 || alone.answer == Answer::kError, "only a success has an answer");
    Require(!alone.provider_failed || alone.answer == Answer::kError, "who failed gave no answer");
    const auto apart = observe::ReadQueryReply(status, bytes, observe::Reduce::kMax, "instance");
    CheckDetail(apart.answer, apart.value, apart.detail);
    Require(apart.partitions.size() <= observe::kMaxPartitions, "partitions are bounded");
    Require(apart.answer != Answer::kError || apart.partitions.empty(), "an error is one of all");
    for (const auto& [name, one] : apart.partitions) {
      Require(!name.empty() && name.size() <= observe::kMaxPartitionName, "each has a name");
      CheckDetail(one.answer, one.value, one.detail);
      Require(one.answer != Answer::kValue || one.value <= apart.value, "the worst stands for all");
    }
    for (const auto reduce : {observe::Reduce::kMax, observe::Reduce::kAvg}) {
      const auto reduced = observe::ReadQueryReply(status, bytes, reduce);
      CheckDetail(reduced.answer, reduced.value, reduced.detail);
      if (alone.answer == Answer::kValue)
        Require(reduced.answer == Answer::kValue && reduced.value == alone.value,
                "one series is the same, reduced or not");
    }
  }
  // The first line is a pointer.
  const std::size_t line = bytes.find('\n');
  const auto pointer = observe::ParseJsonPointer(bytes.substr(0, line));
  if (pointer.ok()) {
    const std::string_view body = line == std::string_view::npos ? bytes : bytes.substr(line + 1);
    const auto reply = observe::ReadJsonValue(body, *pointer, Time{});
    CheckDetail(reply.observation.answer, reply.observation.value, reply.observation.detail);
  } else {
    Saw(pointer.error().message);
  }
  return 0;
}
