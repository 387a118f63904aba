#include "operator/observe/series_selector.h"

#include <algorithm>

namespace backfill::observe {
namespace {

constexpr std::size_t kMaxSelectorBytes = 1024;

Error InvalidSeries(std::string_view why) {
  return {ErrorCode::kInvalid, "series: " + std::string(why)};
}

void AppendQuoted(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c == '\n' ? std::string("\\n") : std::string(1, c);
  }
  out += '"';
}

}  // namespace

bool SeriesSelector::MatchesLabels(const MetricSample& sample) const {
  return std::ranges::all_of(
      matches, [&](const Match& m) { return (sample.Get(m.label) == m.value) == m.equal; });
}

Result<SeriesSelector> ParseSeriesSelector(std::string_view text) {
  if (text.size() > kMaxSelectorBytes) return InvalidSeries("longer than 1024 bytes");
  SeriesSelector selector;
  MetricLexer in(text);
  in.SkipBlanks();
  selector.name = in.MetricName();
  if (selector.name.empty()) return InvalidSeries("must begin with the name of a metric");
  in.SkipBlanks();
  if (in.Take("{")) {
    while (true) {
      in.SkipBlanks();
      if (in.Take("}")) break;
      SeriesSelector::Match match;
      match.label = in.LabelName();
      if (match.label.empty())
        return InvalidSeries("a label must have a name: name{label=\"value\"}");
      in.SkipBlanks();
      if (in.Take("=~") || in.Take("!~")) {
        return InvalidSeries(
            "regular expressions are not understood here; use = and !=, reduce, or a "
            "query to Prometheus");
      }
      match.equal = !in.Take("!=");
      if (match.equal && !in.Take("=")) return InvalidSeries("behind a label must stand = or !=");
      in.SkipBlanks();
      if (!in.Quoted(match.value)) return InvalidSeries("a label's value must be in double quotes");
      selector.matches.push_back(std::move(match));
      in.SkipBlanks();
      if (!in.Take(",") && in.Peek() != '}')
        return InvalidSeries("between labels must stand a comma");
    }
  }
  in.SkipBlanks();
  if (in.Peek() == '[')
    return InvalidSeries("a range has no place here; say as: Rate and a window");
  if (in.Peek() == '(')
    return InvalidSeries("a function has no place here; say as: Rate or Quantile");
  if (!in.ended()) return InvalidSeries("must be name{label=\"value\"} and nothing else");
  return selector;
}

std::string LabelsWithout(const MetricSample& sample, std::string_view label) {
  std::vector<const Label*> labels;
  for (const Label& l : sample.labels)
    if (l.name != label && !l.value.empty()) labels.push_back(&l);
  std::ranges::sort(labels, {}, [](const Label* l) { return std::string_view(l->name); });
  std::string out = "{";
  for (const Label* l : labels) {
    if (out.size() > 1) out += ',';
    out += l->name + '=';
    AppendQuoted(out, l->value);
  }
  return out + '}';
}

}  // namespace backfill::observe
