#include <cmath>
#include <string>
#include <vector>

#include "operator/observe/scrape_reader.h"
#include "tests/fuzz/feedback.h"

// What a target says on /metrics, and a selector in a user's file: read, or refused in bounded
// words; what is read from a text and written again is read as the same.
namespace backfill::fuzz {
namespace {

using namespace observe;

std::vector<std::string> SeriesOf(std::string_view text, std::string& written) {
  std::vector<std::string> series;
  const Status read = ParseMetricText(text, [&](const MetricSample& s) {
    Require(!s.name.empty(), "a sample has a name");
    Require(s.labels.size() <= 64, "labels are bounded");
    const std::string labels = LabelsWithout(s, "");
    const auto selector = ParseSeriesSelector(std::string(s.name) + labels);
    if (selector.ok()) {  // else it is too long for one
      Require(selector->name == s.name && selector->MatchesLabels(s),
              "a series is selected by its own name and labels");
      Saw("a series that is its own selector");
    }
    series.push_back(std::string(s.name) + labels);
    written += series.back() + " 1\n";
  });
  if (read.ok()) return series;
  Require(read.error().code == ErrorCode::kInvalid && read.error().message.size() <= 100,
          "a refusal is short");
  Saw(read.error().message);
  return {"refused"};
}

void CheckReply(const Reply& reply) {
  Require(reply.observation.detail.size() <= 200, "what people are told is short");
  for (const char c : reply.observation.detail)
    Require(static_cast<unsigned char>(c) >= 0x20, "it is one line");
  const bool value = reply.observation.answer == throttle::Answer::kValue;
  Require(!value || std::isfinite(reply.observation.value), "a value is a number");
  Saw(value ? "value" : reply.observation.detail);
}

}  // namespace
}  // namespace backfill::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace backfill;
  using namespace backfill::fuzz;
  using namespace std::chrono_literals;
  // A line with a selector, then texts of one scrape after the other, each behind a line "---".
  const std::string_view bytes = View(data, size);
  const std::size_t line = bytes.find('\n');
  const std::string selector(bytes.substr(0, line));
  std::string_view rest = line == std::string_view::npos ? "" : bytes.substr(line + 1);

  std::string written;
  const auto series = SeriesOf(rest, written);
  if (series != std::vector<std::string>{"refused"}) {
    std::string again;
    SeriesOf(written, again);
    Require(again == written, "what was read and written is read as the same");
  }
  const auto parsed = observe::ParseSeriesSelector(selector);
  if (!parsed.ok()) {
    Require(parsed.error().message.starts_with("series: "), "a refusal names the field");
    Saw(parsed.error().message);
    return 0;
  }
  for (const auto as :
       {observe::ScrapeAs::kValue, observe::ScrapeAs::kRate, observe::ScrapeAs::kQuantile}) {
    for (const auto reduce : {observe::Reduce::kNone, observe::Reduce::kSum}) {
      observe::ScrapeReader reader(
          {.series = selector, .as = as, .quantile = 0.9, .window = 60s, .reduce = reduce});
      Time now{1h};
      std::string_view texts = rest;
      for (int i = 0; i < 16 && !texts.empty(); ++i, now += 20s) {
        const std::size_t end = texts.find("---\n");
        CheckReply(reader.Read(texts.substr(0, end), now));
        texts = end == std::string_view::npos ? "" : texts.substr(end + 4);
      }
    }
  }
  return 0;
}
