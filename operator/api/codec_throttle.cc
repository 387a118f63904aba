#include "operator/api/codec_throttle.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string_view>
#include <utility>

namespace backfill::api {
namespace {

using Kind = Node::Kind;

// As written, in the order of the values.
template <typename Enum>
struct NamesOf;
template <>
struct NamesOf<ThrottleMode> {
  static constexpr std::array<std::string_view, 2> kAll = {"Enforce", "Observe"};
};
template <>
struct NamesOf<AtFloor> {
  static constexpr std::array<std::string_view, 2> kAll = {"Yield", "Keep"};
};
template <>
struct NamesOf<OnMissing> {
  static constexpr std::array<std::string_view, 4> kAll = {"Hold", "Floor", "Freeze", "Ignore"};
};
template <>
struct NamesOf<OnNoTraffic> {
  static constexpr std::array<std::string_view, 3> kAll = {"Missing", "Zero", "Probe"};
};
template <>
struct NamesOf<BudgetScope> {
  static constexpr std::array<std::string_view, 2> kAll = {"Global", "Partition"};
};
template <>
struct NamesOf<Reduce> {
  static constexpr std::array<std::string_view, 5> kAll = {"None", "Max", "Min", "Sum", "Avg"};
};
template <>
struct NamesOf<Preset> {
  static constexpr std::array<std::string_view, 5> kAll = {"LatencyP99", "HttpErrorRatio",
                                                           "Utilization", "KafkaLag", "ReplicaLag"};
};
template <>
struct NamesOf<OnCritical> {
  static constexpr std::array<std::string_view, 2> kAll = {"Hold", "Pause"};
};
template <>
struct NamesOf<ScrapeAs> {
  static constexpr std::array<std::string_view, 3> kAll = {"Value", "Rate", "Quantile"};
};
template <>
struct NamesOf<WorkerSignal> {
  static constexpr std::array<std::string_view, 2> kAll = {"ErrorRatio", "LatencyP99"};
};
template <>
struct NamesOf<OverrideType> {
  static constexpr std::array<std::string_view, 2> kAll = {"Cap", "Pin"};
};
template <>
struct NamesOf<OutsideAction> {
  static constexpr std::array<std::string_view, 2> kAll = {"Pause", "Cap"};
};

template <typename Enum>
std::string_view NameOf(Enum value) {
  return NamesOf<Enum>::kAll.at(static_cast<std::size_t>(value));
}

// Reading and writing know the fields from one list each, the templates Fields() below.
class Reader {
 public:
  explicit Reader(const Node& map) : map_(map) {}

  void Text(const char* key, std::string& value) {
    if (const Node* node = map_.At(key, Kind::kString)) value = node->text;
  }
  void MaybeText(const char* key, std::string& value) { Text(key, value); }
  void Flag(const char* key, bool& value) {
    if (const Node* node = map_.At(key, Kind::kBool)) value = node->boolean;
  }
  template <typename Int>
  void Whole(const char* key, Int& value) {
    const Node* node = map_.At(key, Kind::kInteger);
    if (node == nullptr) return;
    value = static_cast<Int>(std::clamp<Integer>(node->integer, std::numeric_limits<Int>::min(),
                                                 std::numeric_limits<Int>::max()));
  }
  template <typename Int>
  void Whole(const char* key, std::optional<Int>& value) {
    if (map_.At(key, Kind::kInteger) != nullptr) Whole(key, value.emplace());
  }
  void Number(const char* key, std::optional<double>& value) {
    const Node* node = map_.Find(key);
    if (node == nullptr) return;
    if (node->Is(Kind::kInteger)) value = static_cast<double>(node->integer);
    if (node->Is(Kind::kFloat)) value = node->number;
  }
  template <typename Enum>
  void Choice(const char* key, Enum& value) {
    const Node* node = map_.At(key, Kind::kString);
    if (node == nullptr) return;
    const auto& all = NamesOf<Enum>::kAll;
    const auto found = std::ranges::find(all, node->text);
    if (found != all.end()) value = static_cast<Enum>(found - all.begin());
  }
  template <typename Enum>
  void MaybeChoice(const char* key, std::optional<Enum>& value) {
    if (map_.At(key, Kind::kString) != nullptr) Choice(key, value.emplace());
  }
  void Words(const char* key, std::vector<std::string>& words) {
    const Node* node = map_.At(key, Kind::kList);
    for (std::size_t i = 0; node != nullptr && i < node->items.size(); ++i)
      words.push_back(node->items[i].text);
  }
  template <typename T>
  void Map(const char* key, T& value) {
    const Node* node = map_.At(key, Kind::kMap);
    if (node == nullptr) return;
    Reader reader(*node);
    Fields(reader, value);
  }
  template <typename T>
  void MaybeMap(const char* key, std::optional<T>& value) {
    if (map_.At(key, Kind::kMap) != nullptr) Map(key, value.emplace());
  }
  template <typename T>
  void List(const char* key, std::vector<T>& values) {
    const Node* node = map_.At(key, Kind::kList);
    for (std::size_t i = 0; node != nullptr && i < node->items.size(); ++i) {
      Reader reader(node->items[i]);
      Fields(reader, values.emplace_back());
    }
  }
  template <typename T>
  void MaybeList(const char* key, std::vector<T>& values) {
    List(key, values);
  }

 private:
  const Node& map_;
};

class Writer {
 public:
  explicit Writer(Node& map) : map_(map) {}

  void Text(const char* key, const std::string& value) { map_.Add(key, Node::String(value)); }
  // Absent where it is empty.
  void MaybeText(const char* key, const std::string& value) {
    if (!value.empty()) Text(key, value);
  }
  void Flag(const char* key, bool value) { map_.Add(key, Node::Bool(value)); }
  template <typename Int>
  void Whole(const char* key, Int value) {
    map_.Add(key, Node::Int(value));
  }
  template <typename Int>
  void Whole(const char* key, const std::optional<Int>& value) {
    if (value) Whole(key, *value);
  }
  // Four digits are enough for people, and keep the status small.
  void Number(const char* key, const std::optional<double>& value) {
    if (!value || !std::isfinite(*value)) return;
    const double clamped = std::clamp(*value, -1e12, 1e12);
    const double scale =
        clamped == 0 ? 1 : std::pow(10, 3 - std::floor(std::log10(std::abs(clamped))));
    map_.Add(key, Node::Float(std::round(clamped * scale) / scale));
  }
  template <typename Enum>
  void Choice(const char* key, Enum value) {
    Text(key, std::string(NameOf(value)));
  }
  template <typename Enum>
  void MaybeChoice(const char* key, const std::optional<Enum>& value) {
    if (value) Choice(key, *value);
  }
  void Words(const char* key, const std::vector<std::string>& words) {
    Node& list = map_.Add(key, Node::List());
    for (const std::string& word : words) list.items.push_back(Node::String(word));
  }
  template <typename T>
  void Map(const char* key, T& value) {
    Writer writer(map_.Add(key, Node::Map()));
    Fields(writer, value);
  }
  template <typename T>
  void MaybeMap(const char* key, std::optional<T>& value) {
    if (value) Map(key, *value);
  }
  template <typename T>
  void List(const char* key, std::vector<T>& values) {
    Node& list = map_.Add(key, Node::List());
    for (T& value : values) {
      Node node = Node::Map();
      Writer writer(node);
      Fields(writer, value);
      list.items.push_back(std::move(node));
    }
  }
  template <typename T>
  void MaybeList(const char* key, std::vector<T>& values) {
    if (!values.empty()) List(key, values);
  }

 private:
  Node& map_;
};

template <typename Io>
void Fields(Io& io, PrometheusMetric& m) {
  io.Text("address", m.address);
  io.Text("query", m.query);
  io.Text("freshnessQuery", m.freshness_query);
  io.Text("credentials", m.credentials);
  io.Text("timeout", m.timeout);
}
template <typename Io>
void Fields(Io& io, ScrapeMetric& m) {
  io.Text("url", m.url);
  io.Text("series", m.series);
  io.Choice("as", m.as);
  io.MaybeText("quantile", m.quantile);
  io.Text("credentials", m.credentials);
  io.Text("timeout", m.timeout);
}
template <typename Io>
void Fields(Io& io, HttpMetric& m) {
  io.Text("url", m.url);
  io.Text("pointer", m.pointer);
  io.Text("credentials", m.credentials);
  io.Text("timeout", m.timeout);
}
template <typename Io>
void Fields(Io& io, WorkersMetric& m) {
  io.Choice("signal", m.signal);
  io.Text("window", m.window);
}
template <typename Io>
void Fields(Io& io, BudgetTiming& t) {
  io.Text("interval", t.interval);
  io.MaybeText("window", t.window);
  io.Text("scrapeInterval", t.scrape_interval);
  io.Text("delay", t.delay);
  io.MaybeText("staleAfter", t.stale_after);
}
template <typename Io>
void Fields(Io& io, Budget& b) {
  io.Text("name", b.name);
  io.MaybeChoice("preset", b.preset);
  io.MaybeMap("prometheus", b.prometheus);
  io.MaybeMap("scrape", b.scrape);
  io.MaybeMap("http", b.http);
  io.MaybeMap("workers", b.workers);
  io.MaybeText("max", b.max);
  io.MaybeText("min", b.min);
  io.MaybeText("critical", b.critical);
  io.MaybeText("ideal", b.ideal);
  io.MaybeText("target", b.target);
  io.Flag("required", b.required);
  io.Flag("enforce", b.enforce);
  io.Choice("scope", b.scope);
  io.MaybeText("partitionLabel", b.partition_label);
  io.Map("timing", b.timing);
  io.Choice("onMissing", b.on_missing);
  io.MaybeChoice("onNoTraffic", b.on_no_traffic);
  io.MaybeChoice("reduce", b.reduce);
}
template <typename Io>
void Fields(Io& io, HoldPolicy& h) {
  io.Choice("onCritical", h.on_critical);
  io.Whole("confirmations", h.confirmations);
  io.Text("duration", h.duration);
  io.Text("maxDuration", h.max_duration);
  io.Whole("goodSamples", h.good_samples);
  io.Text("resumeFactor", h.resume_factor);
  io.Whole("pauseAfter", h.pause_after);
}
template <typename Io>
void Fields(Io& io, MissingPolicy& m) {
  io.Text("landEvery", m.land_every);
  io.Text("after", m.after);
}
template <typename Io>
void Fields(Io& io, WorkerThrottle& w) {
  io.Flag("latencyBackoff", w.latency_backoff);
  io.Text("latencyHeadroom", w.latency_headroom);
  io.Whole("retryBudgetPercent", w.retry_budget_percent);
}
template <typename Io>
void Fields(Io& io, GrantTimes& g) {
  io.Text("ttl", g.ttl);
  io.Text("refresh", g.refresh);
}
template <typename Io>
void Fields(Io& io, Override& o) {
  io.Choice("type", o.type);
  io.Whole("recordsPerSecond", o.records_per_second);
  io.Text("until", o.until);
  io.Text("reason", o.reason);
  io.Flag("breakGlass", o.break_glass);
}
template <typename Io>
void Fields(Io& io, ThrottleGroup& g) {
  io.Text("name", g.name);
  io.Whole("weight", g.weight);
}
template <typename Io>
void Fields(Io& io, Throttle& t) {
  io.Choice("mode", t.mode);
  io.Whole("maxRecordsPerSecond", t.max_records_per_second);
  io.Whole("minRecordsPerSecond", t.min_records_per_second);
  io.Whole("initialRecordsPerSecond", t.initial_records_per_second);
  io.Choice("atFloor", t.at_floor);
  io.MaybeText("deadTime", t.dead_time);
  io.MaybeText("partitionBy", t.partition_by);
  io.List("budgets", t.budgets);
  io.Map("hold", t.hold);
  io.Map("missing", t.missing);
  io.Map("worker", t.worker);
  io.Map("grants", t.grants);
  io.MaybeMap("override", t.override);
  io.MaybeMap("group", t.group);
}
template <typename Io>
void Fields(Io& io, Window& w) {
  io.Words("days", w.days);
  io.Text("from", w.from);
  io.Text("to", w.to);
  io.Whole("maxRecordsPerSecond", w.max_records_per_second);
}
template <typename Io>
void Fields(Io& io, Outside& o) {
  io.Choice("action", o.action);
  io.Whole("maxRecordsPerSecond", o.max_records_per_second);
}
template <typename Io>
void Fields(Io& io, Blackout& b) {
  io.Text("from", b.from);
  io.Text("to", b.to);
  io.Text("reason", b.reason);
}
template <typename Io>
void Fields(Io& io, Schedule& s) {
  io.Text("timeZone", s.time_zone);
  io.List("windows", s.windows);
  io.MaybeMap("outside", s.outside);
  io.List("blackouts", s.blackouts);
}
template <typename Io>
void Fields(Io& io, BudgetStatus& b) {
  io.Text("name", b.name);
  io.Number("value", b.value);
  io.Number("pressure", b.pressure);
  io.MaybeText("state", b.state);
  io.Whole("age", b.age);
}
template <typename Io>
void Fields(Io& io, PartitionStatus& p) {
  io.Text("name", p.name);
  io.Number("rate", p.rate);
  io.Flag("hot", p.hot);
}
template <typename Io>
void Fields(Io& io, ThrottleStatus& t) {
  io.MaybeText("state", t.state);
  io.MaybeText("since", t.since);
  io.MaybeText("reason", t.reason);
  io.MaybeText("nextChange", t.next_change);
  io.MaybeText("bindingBudget", t.binding_budget);
  io.Number("pressure", t.pressure);
  io.MaybeList("budgets", t.budgets);
  io.Number("rate", t.rate);
  io.Number("lastGoodRate", t.last_good_rate);
  io.Number("ceiling", t.ceiling);
  io.Whole("holds", t.holds);
  io.Number("rateBeforeHold", t.rate_before_hold);
  io.MaybeText("heldSince", t.held_since);
  io.MaybeText("lastCriticalTime", t.last_critical_time);
  io.MaybeText("glassBrokenUntil", t.glass_broken_until);
  io.MaybeText("glassRefusedUntil", t.glass_refused_until);
  io.MaybeMap("slowestPartition", t.slowest_partition);
}

template <typename T>
T Read(const Node& map) {
  T value;
  Reader reader(map);
  Fields(reader, value);
  return value;
}

template <typename T>
Node Write(T value) {
  Node map = Node::Map();
  Writer writer(map);
  Fields(writer, value);
  return map;
}

}  // namespace

std::string_view ToString(Preset preset) { return NameOf(preset); }
std::string_view ToString(OnNoTraffic on_no_traffic) { return NameOf(on_no_traffic); }
std::string_view ToString(Reduce reduce) { return NameOf(reduce); }

Throttle ReadThrottle(const Node& throttle) { return Read<Throttle>(throttle); }
Schedule ReadSchedule(const Node& schedule) { return Read<Schedule>(schedule); }
ThrottleStatus ReadThrottleStatus(const Node& throttle) { return Read<ThrottleStatus>(throttle); }
Override ReadOverride(const Node& override) { return Read<Override>(override); }

// What is as it is where nothing is said is left out: most files say a rate and no more.
Node WriteThrottle(const Throttle& throttle) {
  Node node = Write(throttle);
  for (const Member& usual : Write(Throttle{}).members) {
    const Node* written = node.Find(usual.key);
    if (written != nullptr && SameValue(*written, usual.value)) node.Remove(usual.key);
  }
  return node;
}
Node WriteSchedule(const Schedule& schedule) { return Write(schedule); }
Node WriteThrottleStatus(const ThrottleStatus& throttle) { return Write(throttle); }
Node WriteOverride(const Override& override) { return Write(override); }

}  // namespace backfill::api
