#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>

#include "operator/coordinator/authenticator.h"

namespace backfill::coordinator {

// Which pod has a slot of a stage, when two prove to be it: a node that comes back, a Job that was
// made again. The newer one, however often the older one calls (F15). Pure. Of more slots than it
// can remember, the one that was taken longest ago is forgotten.
class WorkerSlots {
 public:
  explicit WorkerSlots(std::size_t max = 20'000) : max_(max) {}

  // False: a newer pod has it.
  bool Take(const WorkerIdentity& identity);
  // That pod has ended: an older one may have its slot.
  void Release(const std::string& instance);

  [[nodiscard]] std::size_t size() const { return slots_.size(); }

 private:
  using Key = std::tuple<std::string, reconcile::Stage, std::string>;  // uid, stage, worker
  struct Slot {
    std::string created;
    std::string instance;
    std::uint64_t taken = 0;
  };

  const std::size_t max_;
  std::map<Key, Slot> slots_;
  std::map<std::uint64_t, Key> order_;  // by Slot::taken
  std::uint64_t takes_ = 0;
};

}  // namespace backfill::coordinator
