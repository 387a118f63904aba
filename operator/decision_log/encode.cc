#include <cmath>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <utility>

#include "base/utf8.h"
#include "operator/decision_log/decision_log.h"
#include "operator/decision_log/fields.h"

namespace backfill::decision_log {
namespace {

using OrderedJson = nlohmann::ordered_json;

// Steps between two lines that say where a governor stands: an hour of ticks.
constexpr int kStepsToAStart = 360;

class Writer {
 public:
  template <typename T>
  void operator()(const char* name, T& field) {
    Put(name, field);
  }
  OrderedJson Take() { return std::move(json_); }

 private:
  // What has its default would be most of a line.
  template <typename T>
  void Put(const char* name, std::optional<T>& field) {
    if (field) Put(name, *field);
  }
  template <typename T>
  void Put(const char* name, T& field) {
    json_[name] = Of(field);
  }

  static OrderedJson Of(double& value) {
    // JSON has no such numbers, and a source may say anything.
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
    return value;
  }
  static OrderedJson Of(Time& time) { return time.time_since_epoch().count(); }
  static OrderedJson Of(Duration& duration) { return duration.count(); }
  static OrderedJson Of(throttle::History& history) {
    OrderedJson list = OrderedJson::array();
    for (throttle::History::Entry entry : history.entries()) list.push_back(Of(entry));
    return list;
  }
  template <typename T>
  static OrderedJson Of(std::vector<T>& values) {
    OrderedJson list = OrderedJson::array();
    for (T& value : values) list.push_back(Of(value));
    return list;
  }
  template <typename T>
  static OrderedJson Of(T& value) {
    if constexpr (std::is_enum_v<T>) {
      for (const auto& [each, name] : Names<T>::kAll) {
        if (each == value) return std::string(name);
      }
      return nullptr;
    } else if constexpr (std::is_arithmetic_v<T> || std::is_same_v<T, std::string>) {
      return value;
    } else {
      Writer writer;
      Fields(writer, value);
      return writer.Take();
    }
  }

  template <typename T>
  friend OrderedJson ToJson(T value);

  OrderedJson json_ = OrderedJson::object();
};

// By value: Fields() is the same for reading and wants to write.
template <typename T>
OrderedJson ToJson(T value) {
  return Writer::Of(value);
}

// Never fails: names may be anything, too.
std::string Dump(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

}  // namespace

std::string Encode(const StartLine& line) {
  OrderedJson json;
  json["throttle"] = "start";
  json["version"] = 1;
  json["at"] = FormatWallTime(line.at);
  json["governor"] = line.governor;
  json["options"] = ToJson(line.options);
  json["memory"] = ToJson(line.memory);
  return Dump(json);
}

std::string Encode(const StepLine& line) {
  OrderedJson json;
  json["throttle"] = "step";
  json["at"] = FormatWallTime(line.at);
  json["governor"] = line.governor;
  json["now"] = ToJson(line.now);
  json["in"] = ToJson(line.inputs);
  json["out"] = ToJson(line.decision);
  return Dump(json);
}

std::string Encode(const throttle::Decision& decision) { return Dump(ToJson(decision)); }

LoggedGovernor::LoggedGovernor(std::string_view name, throttle::Governor governor,
                               DecisionSink* log)
    : name_(name.substr(0, kMaxName)), governor_(std::move(governor)), log_(log) {}

void LoggedGovernor::SayWhereItStands(WallTime wall) {
  const std::uint64_t volume = log_->Volume();
  if (until_start_-- > 0 && volume == volume_) return;
  log_->Write(Encode(StartLine{.governor = name_,
                               .at = wall,
                               .options = governor_.options(),
                               .memory = governor_.memory()}));
  until_start_ = kStepsToAStart - 1;
  volume_ = volume;
}

throttle::Decision LoggedGovernor::Step(const throttle::Inputs& inputs, Time now, WallTime wall) {
  if (log_ == nullptr) return governor_.Step(inputs, now);
  SayWhereItStands(wall);
  StepLine line{.governor = name_, .at = wall, .now = now, .inputs = inputs, .decision = {}};
  // What others have said need not be UTF-8, and a line is: decided is by what stands in it.
  for (throttle::Observation& said : line.inputs.observations)
    said.detail.resize(ValidUtf8Prefix(said.detail));
  line.decision = governor_.Step(line.inputs, now);
  log_->Write(Encode(line));
  return std::move(line.decision);
}

void LoggedGovernor::Reconfigure(throttle::GovernorOptions options) {
  governor_.Reconfigure(std::move(options));
  until_start_ = 0;
}

}  // namespace backfill::decision_log
