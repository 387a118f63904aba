#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace backfill {
namespace {

// JSON string escaping; also bounds a value, since a log line is no place for a megabyte of reply.
void AppendEscaped(std::string& out, std::string_view text) {
  constexpr std::size_t kMaxValue = 2048;
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  for (const char c : text.substr(0, kMaxValue)) {
    const auto u = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\', out += c;
    } else if (u < 0x20 || u >= 0x7f) {  // also non-ASCII bytes: a line must stay valid JSON
                                         // whatever the encoding
      out += "\\u00", out += kHex[u >> 4], out += kHex[u & 15];
    } else {
      out += c;
    }
  }
  if (text.size() > kMaxValue) out += "...";
  out += '"';
}

spdlog::logger& Logger() {
  static const auto logger = [] {
    auto l = std::make_shared<spdlog::logger>("backfill",
                                              std::make_shared<spdlog::sinks::stderr_sink_mt>());
    l->set_pattern(R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})",
                   spdlog::pattern_time_type::utc);
    return l;
  }();
  return *logger;
}

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      return spdlog::level::off;
  }
  return spdlog::level::info;
}

}  // namespace

void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  if (!Logger().should_log(ToSpdlog(level))) return;
  std::string line = "\"message\":";
  AppendEscaped(line, message);
  for (const LogField& f : fields) {
    line += ',';
    AppendEscaped(line, f.name);
    line += ':';
    AppendEscaped(line, f.value);
  }
  Logger().log(ToSpdlog(level), spdlog::string_view_t(line.data(), line.size()));
}

void SetLogLevel(LogLevel level) { Logger().set_level(ToSpdlog(level)); }

}  // namespace backfill
