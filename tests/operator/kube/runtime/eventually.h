#pragma once

#include <chrono>
#include <functional>
#include <thread>

namespace backfill::kube {

// Until it is so, for what threads do in their own time; the limit turns a hang into a failure.
inline bool Eventually(const std::function<bool()>& so) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!so()) {
    if (std::chrono::steady_clock::now() > limit) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace backfill::kube
