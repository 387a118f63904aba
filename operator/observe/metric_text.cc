#include "operator/observe/metric_text.h"

#include <fmt/format.h>
#include <strings.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

namespace backfill::observe {
namespace {

constexpr std::size_t kMaxLineBytes = 64 << 10;
constexpr std::size_t kMaxLabels = 64;

bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsBlank(char c) { return c == ' ' || c == '\t'; }

// {a="b",c="d",}, of which the brace was taken.
bool ReadLabels(MetricLexer& in, std::vector<Label>& labels) {
  std::size_t used = 0;
  while (true) {
    in.SkipBlanks();
    if (in.Take("}")) break;
    if (used == kMaxLabels) return false;
    // The strings of the line before are used again.
    if (labels.size() == used) labels.emplace_back();
    labels[used].name = in.LabelName();
    if (labels[used].name.empty()) return false;
    in.SkipBlanks();
    if (!in.Take("=")) return false;
    in.SkipBlanks();
    if (!in.Quoted(labels[used].value)) return false;
    const auto begin = labels.begin(), end = begin + static_cast<std::ptrdiff_t>(used);
    if (std::find_if(begin, end, [&](const Label& l) { return l.name == end->name; }) != end)
      return false;  // which of the two would it be?
    ++used;
    in.SkipBlanks();
    if (!in.Take(",") && in.Peek() != '}') return false;
  }
  labels.resize(used);
  return true;
}

// What stands behind a value: a time, an exemplar, both or nothing.
bool ReadRest(MetricLexer& in) {
  double ignored = 0;
  in.SkipBlanks();
  if (!in.ended() && in.Peek() != '#' && !ParseMetricNumber(in.Word(), ignored)) return false;
  in.SkipBlanks();
  if (in.ended()) return true;
  std::vector<Label> labels;
  if (!in.Take("# {") || !ReadLabels(in, labels)) return false;
  in.SkipBlanks();
  if (!ParseMetricNumber(in.Word(), ignored)) return false;
  in.SkipBlanks();
  return in.ended() || (ParseMetricNumber(in.Word(), ignored) && in.ended());
}

bool ReadSample(std::string_view line, std::vector<Label>& labels,
                const std::function<void(const MetricSample&)>& on_sample) {
  MetricLexer in(line);
  const std::string_view name = in.MetricName();
  if (name.empty()) return false;
  const bool blank = IsBlank(in.Peek());
  in.SkipBlanks();
  if (in.Take("{")) {
    if (!ReadLabels(in, labels)) return false;
  } else if (blank) {
    labels.clear();
  } else {
    return false;
  }
  in.SkipBlanks();
  double value = 0;
  if (!ParseMetricNumber(in.Word(), value) || !ReadRest(in)) return false;
  on_sample({.name = name, .labels = labels, .value = value});
  return true;
}

Error NotMetrics(std::size_t line, std::string_view why) {
  return {ErrorCode::kInvalid, fmt::format("line {}: {}", line, why)};
}

}  // namespace

std::string_view MetricSample::Get(std::string_view label) const {
  const auto it = std::ranges::find(labels, label, &Label::name);
  return it == labels.end() ? std::string_view() : std::string_view(it->value);
}

void MetricLexer::SkipBlanks() {
  while (!text_.empty() && IsBlank(text_.front())) text_.remove_prefix(1);
}

bool MetricLexer::Take(std::string_view what) {
  if (!text_.starts_with(what)) return false;
  text_.remove_prefix(what.size());
  return true;
}

std::string_view MetricLexer::MetricName() {
  std::size_t n = 0;
  while (n < text_.size() &&
         (IsLetter(text_[n]) || text_[n] == ':' || (n > 0 && IsDigit(text_[n])))) {
    ++n;
  }
  const std::string_view name = text_.substr(0, n);
  text_.remove_prefix(n);
  return name;
}

std::string_view MetricLexer::LabelName() {
  std::size_t n = 0;
  while (n < text_.size() && (IsLetter(text_[n]) || (n > 0 && IsDigit(text_[n])))) ++n;
  const std::string_view name = text_.substr(0, n);
  text_.remove_prefix(n);
  return name;
}

bool MetricLexer::Quoted(std::string& out) {
  out.clear();
  if (!Take("\"")) return false;
  while (!text_.empty()) {
    const std::size_t plain = std::min(text_.find_first_of("\"\\"), text_.size());
    out += text_.substr(0, plain);
    text_.remove_prefix(plain);
    if (Take("\"")) return true;
    if (text_.size() < 2) return false;
    switch (text_[1]) {
      case '\\':
        out += '\\';
        break;
      case '"':
        out += '"';
        break;
      case 'n':
        out += '\n';
        break;
      default:  // as Prometheus reads it: not an escape
        out += text_.substr(0, 2);
        break;
    }
    text_.remove_prefix(2);
  }
  return false;
}

std::string_view MetricLexer::Word() {
  const std::size_t n = std::min(text_.find_first_of(" \t"), text_.size());
  const std::string_view word = text_.substr(0, n);
  text_.remove_prefix(n);
  return word;
}

bool ParseMetricNumber(std::string_view text, double& out) {
  if (text.empty() || text.size() > 64) return false;
  const bool negative = text.front() == '-';
  const std::string_view digits = text.front() == '+' || negative ? text.substr(1) : text;
  const auto is = [&](std::string_view word) {
    return digits.size() == word.size() &&
           strncasecmp(digits.data(), word.data(), word.size()) == 0;
  };
  if (is("nan")) {
    out = std::numeric_limits<double>::quiet_NaN();
    return true;
  }
  if (is("inf") || is("infinity")) {
    out = std::numeric_limits<double>::infinity() * (negative ? -1 : 1);
    return true;
  }
  // from_chars takes nan(..) and a second sign for more than they are.
  if (digits.empty() || (!IsDigit(digits.front()) && digits.front() != '.')) return false;
  const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
  if (end != digits.data() + digits.size()) return false;
  // Go reads what is too large as an error, too, and what is too small as 0.
  if (ec == std::errc::result_out_of_range) {
    out = 0;
    const std::size_t e = digits.find_first_of("eE");
    return e != std::string_view::npos && digits.substr(e + 1).starts_with('-');
  }
  if (negative) out = -out;
  return ec == std::errc();
}

Status ParseMetricText(std::string_view text,
                       const std::function<void(const MetricSample&)>& on_sample) {
  std::vector<Label> labels;
  bool ended = false;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    if (line.size() > kMaxLineBytes) return NotMetrics(number, "is longer than 64 KiB");
    // OpenMetrics' last line may lack its end.
    if (end == std::string_view::npos && line != "# EOF")
      return NotMetrics(number, "has no end, so something was cut off");
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    while (!line.empty() && IsBlank(line.front())) line.remove_prefix(1);
    if (line.empty()) continue;
    if (ended) return NotMetrics(number, "stands behind the end");
    if (line.front() == '#') {
      ended = line == "# EOF";
    } else if (!ReadSample(line, labels, on_sample)) {
      return NotMetrics(number, "is not a sample in Prometheus' text format");
    }
  }
  return Ok{};
}

}  // namespace backfill::observe
