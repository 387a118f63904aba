#include "operator/kube/runtime/event_aggregation.h"

#include <fmt/format.h>

#include <string_view>

#include "base/utf8.h"

namespace backfill::kube {
namespace {

constexpr std::size_t kMaxNote = 1024;
constexpr std::size_t kMaxReason = 128;
constexpr std::size_t kMaxReference = 253;
constexpr std::size_t kMaxEventName = 253;
constexpr std::string_view kCombined = "(combined from similar events): ";

std::string CutEventText(const std::string& text, std::size_t bytes) {
  const std::string_view valid = std::string_view(text).substr(0, ValidUtf8Prefix(text));
  return std::string(CutToBytes(valid, bytes));
}

// A name that no event had: of the object, and of the moment, as client-go makes it.
std::string EventNameOf(const Event& event, WallTime wall, std::uint64_t sequence) {
  const std::string suffix =
      fmt::format(".{:x}{:04x}", static_cast<std::uint64_t>(wall.time_since_epoch().count()),
                  sequence & 0xffff);
  return event.regarding.name.substr(0, kMaxEventName - suffix.size()) + suffix;
}

}  // namespace

Event Bounded(Event event) {
  event.regarding.api_version = CutEventText(event.regarding.api_version, kMaxReference);
  event.regarding.kind = CutEventText(event.regarding.kind, kMaxReference);
  event.regarding.ns = CutEventText(event.regarding.ns, kMaxReference);
  event.regarding.name = CutEventText(event.regarding.name, kMaxReference);
  event.regarding.uid = CutEventText(event.regarding.uid, kMaxReference);
  event.reason = CutEventText(event.reason, kMaxReason);
  event.action = CutEventText(event.action, kMaxReason);
  event.note = CutEventText(event.note, kMaxNote);
  return event;
}

EventAggregation::EventAggregation(const Options& options)
    : options_(options),
      alike_(options.max_keys),
      series_(options.max_keys),
      buckets_(options.max_keys) {}

std::optional<EventWrite> EventAggregation::OnEvent(const Event& event, Time now, WallTime wall) {
  const Kind kind = KindOf(event);
  Alike& alike = alike_.Use(kind, [] { return Alike{}; });
  if (now - alike.last >= options_.alike_within) alike.notes.clear();
  alike.last = now;
  const bool known = alike.notes.contains(event.note);
  const bool combined = !known && alike.notes.size() >= options_.alike_before_series;
  if (!known && !combined) alike.notes.insert(event.note);

  const SeriesKey key{kind, combined ? std::string(kCombined) : event.note};
  Series& series = series_.Use(key, [] { return Series{}; });
  if (series.count == 0 || now - series.last >= options_.alike_within) {
    series = {.name = EventNameOf(event, wall, ++sequence_),
              .created = false,
              .count = 0,
              .last = now,
              .first_wall = wall};
  }
  series.last = now;
  ++series.count;

  TokenBucket& bucket = buckets_.Use(event.regarding, [this] {
    return TokenBucket(options_.object_interval, options_.object_burst);
  });
  if (!bucket.TryTake(now)) return std::nullopt;

  EventWrite write{.kind = series.created ? EventWrite::Kind::kSeries : EventWrite::Kind::kCreate,
                   .ns = event.regarding.ns.empty() ? "default" : event.regarding.ns,
                   .name = series.name,
                   .event = event,
                   .count = series.count,
                   .first = series.first_wall,
                   .last = wall};
  if (combined) {
    write.event.note = CutEventText(std::string(kCombined) + event.note, kMaxNote);
  }
  return write;
}

void EventAggregation::OnWritten(const EventWrite& write) {
  if (Series* series = SeriesOf(write)) series->created = true;
}

EventAggregation::Kind EventAggregation::KindOf(const Event& event) {
  return {.regarding = event.regarding,
          .type = event.type,
          .reason = event.reason,
          .action = event.action};
}

// Absent: it was forgotten, or is another one by now.
EventAggregation::Series* EventAggregation::SeriesOf(const EventWrite& write) {
  const Kind kind = KindOf(write.event);
  for (const std::string& note : {write.event.note, std::string(kCombined)}) {
    Series* series = series_.Find({kind, note});
    if (series != nullptr && series->name == write.name) return series;
  }
  return nullptr;
}

}  // namespace backfill::kube
