// backfill-test-sink: a target for whole-system tests and measurements. Prints its port, answers
// until it is killed.
//   backfill-test-sink [--port 0] [--any-address 1] [--bitmap N] [--fail-every N] [--latency-ms N]
//     [--serves N] [--foreground N] [--capacity N]
#include <charconv>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "tests/worker/sink.h"

int main(int argc, char** argv) {
  backfill::fakes::SinkOptions options;
  for (int i = 1; i < argc; i += 2) {
    const std::string_view name = argv[i];
    std::uint64_t value = 0;
    if (i + 1 == argc ||
        std::from_chars(argv[i + 1], argv[i + 1] + std::strlen(argv[i + 1]), value).ec !=
            std::errc()) {
      std::fprintf(stderr, "%s needs a number\n", argv[i]);
      return 2;
    }
    if (name == "--port") {
      options.port = static_cast<int>(value);
    } else if (name == "--any-address") {
      options.any_address = value != 0;
    } else if (name == "--bitmap") {
      options.bitmap = value;
    } else if (name == "--fail-every") {
      options.fail_every = value;
    } else if (name == "--capacity") {
      options.capacity = value;
    } else if (name == "--latency-ms") {
      options.latency = std::chrono::milliseconds(value);
    } else if (name == "--serves") {
      options.serves = static_cast<double>(value);
    } else if (name == "--foreground") {
      options.foreground = static_cast<double>(value);
    } else {
      std::fprintf(stderr, "unknown option %s\n", argv[i]);
      return 2;
    }
  }
  backfill::fakes::Sink sink(options);
  std::printf("%d\n", sink.port());
  std::fflush(stdout);
  sink.Run({});
  return 0;
}
