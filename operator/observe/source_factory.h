#pragma once

#include <memory>

#include "base/clock.h"
#include "base/result.h"
#include "operator/observe/metric_servers.h"
#include "operator/observe/query.h"
#include "operator/observe/source.h"
#include "operator/observe/worker_signals.h"

namespace backfill::observe {

// Makes sources. Thread-safe, without I/O.
class SourceFactory {
 public:
  virtual ~SourceFactory() = default;
  // kInvalid: as Check() says.
  virtual Result<std::unique_ptr<Source>> Make(const Query& query) = 0;
};

class MetricSources final : public SourceFactory {
 public:
  // The references must outlive it, and all that it makes.
  MetricSources(MetricServers& servers, const SignalBoard& board, const Clock& clock);

  Result<std::unique_ptr<Source>> Make(const Query& query) override;

 private:
  MetricServers& servers_;
  const SignalBoard& board_;
  const Clock& clock_;
};

}  // namespace backfill::observe
