#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

namespace backfill {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };

// One field of a log line. Numbers are given as text; values are escaped, so hostile text stays one
// line.
struct LogField {
  std::string_view name;
  std::string value;
};

// Writes one JSON line on stderr: {"time", "level", "message", fields...}. Thread-safe, does not
// throw. Never pass a secret, a header value or a record's body. The message is a constant; what
// varies is a field.
void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {});

// Lines below `level` are dropped. Call once at the start of main(); the default is kInfo.
void SetLogLevel(LogLevel level);

}  // namespace backfill
