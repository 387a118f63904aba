#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace backfill::observe {

struct Label {
  std::string name;
  std::string value;  // without escapes
  bool operator==(const Label&) const = default;
};

// One line of it. Refers to the text, and lives as long as the call that it is given to.
struct MetricSample {
  std::string_view name;
  const std::vector<Label>& labels;
  double value = 0;

  // Empty if there is no such label, which is the same as an empty one.
  [[nodiscard]] std::string_view Get(std::string_view label) const;
};

// What a target says on /metrics: Prometheus' text format 0.0.4, and OpenMetrics 1.0, whose lines
// of samples differ in exemplars alone. Calls `on_sample` for each sample. Times in it and what is
// said about types are read over: a sample is as old as the answer.
//
// As Prometheus does, takes all or nothing: one line that is none makes it kInvalid, with the
// number of the line and never its text, since a proxy's page may repeat a request. So does a last
// line without its end, which was cut short. Samples that were handed over by then do not count.
//
// Pure. A line has at most 64 KiB and 64 labels.
Status ParseMetricText(std::string_view text,
                       const std::function<void(const MetricSample&)>& on_sample);

// ---- its parts, for those who read the same syntax elsewhere

// Reads from the front of a text that it makes shorter by what it read.
class MetricLexer {
 public:
  explicit MetricLexer(std::string_view text) : text_(text) {}

  [[nodiscard]] bool ended() const { return text_.empty(); }
  [[nodiscard]] char Peek() const { return text_.empty() ? '\0' : text_.front(); }
  void SkipBlanks();
  bool Take(std::string_view what);
  // [a-zA-Z_:][a-zA-Z0-9_:]*; of labels without the colon. Empty: there is none.
  std::string_view MetricName();
  std::string_view LabelName();
  // In double quotes, with \\, \" and \n. False: it is none.
  bool Quoted(std::string& out);
  // Up to the next blank.
  std::string_view Word();

 private:
  std::string_view text_;
};

// As Go writes and reads them: 1, -0.5e-3, NaN, +Inf. False: it is none.
bool ParseMetricNumber(std::string_view text, double& out);

}  // namespace backfill::observe
