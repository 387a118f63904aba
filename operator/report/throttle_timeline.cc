#include "operator/report/throttle_timeline.h"

#include <string>

#include "base/utf8.h"

namespace backfill::report {
namespace {

constexpr std::size_t kMaxText = 200;  // bytes

void Cut(std::string& text) {
  if (text.size() > kMaxText) text.resize(kMaxText);
  text.resize(ValidUtf8Prefix(text));
}

}  // namespace

void Append(ThrottleTimeline& timeline, const std::vector<api::ThrottleChange>& changes) {
  for (const api::ThrottleChange& change : changes) {
    api::ThrottleChange& added = timeline.changes.emplace_back(change);
    for (std::string* text :
         {&added.time, &added.state, &added.limited_by, &added.budget, &added.reason})
      Cut(*text);
  }
  if (timeline.changes.size() <= kMaxThrottleChanges) return;
  const std::size_t extra = timeline.changes.size() - kMaxThrottleChanges;
  const auto from = timeline.changes.begin() + kFirstThrottleChanges;
  timeline.changes.erase(from, from + static_cast<std::ptrdiff_t>(extra));
  timeline.left_out += extra;
}

}  // namespace backfill::report
