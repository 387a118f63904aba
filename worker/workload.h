#pragma once

#include <functional>
#include <memory>
#include <string>

#include "backfill/v1/workload.pb.h"
#include "worker/engine/partitions.h"
#include "worker/source/source.h"
#include "worker/target/target.h"

namespace boost::asio {
class io_context;
}

namespace backfill::worker {

// What this worker does, made from what the coordinator sent.
struct Work {
  std::unique_ptr<Source> source;
  std::unique_ptr<Target> target;
  PartitionOf partition_of;  // none: the target has no partitions
};

// `wake`: called from any thread when the source has something new.
// kInvalid: it cannot be done, or is not of this stage ("run" or "dry-run"); trying again would not
// help.
Result<Work> MakeWork(const v1::Workload& workload, const std::string& stage,
                      boost::asio::io_context& io, std::uint64_t seed, const Target::Done& done,
                      const std::function<void()>& wake);

}  // namespace backfill::worker
