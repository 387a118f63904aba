#pragma once

#include <string>

// Jobs and pods as a real server sends them, with all that nobody here reads.
namespace backfill::kube {

struct WorkloadText {
  std::string version = "123456";
  int index = 0;  // of the pod in its Job; also tells names apart
};

std::string WorkerJobText(const WorkloadText& what);
std::string WorkerPodText(const WorkloadText& what);
// The same pod as PartialObjectMetadata.
std::string WorkerPodMetadataText(const WorkloadText& what);

}  // namespace backfill::kube
