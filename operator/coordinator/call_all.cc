#include "operator/coordinator/call_all.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

namespace backfill::coordinator {

void CallAll(int n, int at_once, const std::function<bool(int)>& call) {
  std::atomic<int> next{0};
  std::atomic<bool> stopped{false};
  const auto work = [&] {
    while (!stopped) {
      const int i = next.fetch_add(1);
      if (i >= n) return;
      if (!call(i)) stopped = true;
    }
  };
  std::vector<std::jthread> others;
  for (int i = 1; i < std::min(n, at_once); ++i) others.emplace_back(work);
  work();
}

}  // namespace backfill::coordinator
