#include "tests/fuzz/feedback.h"

#include <array>
#include <cctype>
#include <cstdio>
#include <cstdlib>

namespace backfill::fuzz {
namespace {

// libFuzzer looks for this section: every place that is not zero is a feature of the input.
__attribute__((section("__libfuzzer_extra_counters"))) std::array<std::uint8_t, 8192> seen;

}  // namespace

void Require(bool holds, std::string_view what) {
  if (holds) return;
  static_cast<void>(
      std::fprintf(stderr, "must hold: %.*s\n", static_cast<int>(what.size()), what.data()));
  std::abort();
}

void Saw(std::string_view what) {
  std::uint64_t hash = 14695981039346656037U;  // FNV-1a
  bool quoted = false;
  for (const char c : what) {
    if (c == '"') quoted = !quoted;
    if (quoted || std::isdigit(static_cast<unsigned char>(c)) != 0) continue;
    hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
  }
  seen.at(hash % seen.size()) = 1;
}

}  // namespace backfill::fuzz
