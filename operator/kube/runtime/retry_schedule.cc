#include "operator/kube/runtime/retry_schedule.h"

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace backfill::kube {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds kFirstRetry = 10s;
constexpr std::chrono::milliseconds kLongestGap = 6min;
constexpr std::int64_t kSpreadDivisor = 5;  // 20 %

// FNV-1a: the same in every process and version, unlike std::hash.
std::uint64_t HashOf(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

}  // namespace

WallTime NextRetry(WallTime failed_since, WallTime now, std::string_view uid) {
  const WallTime start = std::min(failed_since, now);
  const auto permille = static_cast<std::int64_t>(HashOf(uid) % 1000);
  const auto at = [&](std::chrono::milliseconds offset, std::chrono::milliseconds gap) {
    return start + offset + gap * permille / (1000 * kSpreadDivisor);
  };
  std::chrono::milliseconds offset = kFirstRetry;
  for (std::chrono::milliseconds gap = kFirstRetry; gap <= kLongestGap; gap = offset, offset *= 2) {
    if (at(offset, gap) > now) return at(offset, gap);
  }
  offset = offset / 2 + kLongestGap;  // the last doubled one would have been too far away
  if (at(offset, kLongestGap) > now) return at(offset, kLongestGap);
  // What lies years back is not gone through step by step.
  const auto behind = now - at(offset, kLongestGap);
  return at(offset + kLongestGap * (1 + behind / kLongestGap), kLongestGap);
}

}  // namespace backfill::kube
