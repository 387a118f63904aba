#include "operator/coordinator/worker_slots.h"

#include <utility>

namespace backfill::coordinator {

bool WorkerSlots::Take(const WorkerIdentity& identity) {
  const Key key{identity.stage.uid, identity.stage.stage, identity.worker};
  auto it = slots_.find(key);
  if (it == slots_.end()) {
    if (slots_.size() >= max_) {
      slots_.erase(order_.begin()->second);
      order_.erase(order_.begin());
    }
    it = slots_.emplace(key, Slot{}).first;
  } else {
    // Pods of the same second: any order will do that stays.
    if (std::tie(identity.created, identity.instance) <
        std::tie(it->second.created, it->second.instance)) {
      return false;
    }
    order_.erase(it->second.taken);
  }
  it->second = {.created = identity.created, .instance = identity.instance, .taken = ++takes_};
  order_.emplace(takes_, key);
  return true;
}

void WorkerSlots::Release(const std::string& instance) {
  std::erase_if(slots_, [&](const auto& slot) {
    if (slot.second.instance != instance) return false;
    order_.erase(slot.second.taken);
    return true;
  });
}

}  // namespace backfill::coordinator
