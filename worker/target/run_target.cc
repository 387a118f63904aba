#include "worker/target/run_target.h"

#include <utility>

namespace backfill::worker {

Result<std::unique_ptr<RunTarget>> RunTarget::Create(boost::asio::io_context& io,
                                                     const RequestTemplate& request,
                                                     const TemplateNames& names,
                                                     const OutcomeMap& outcomes,
                                                     const HttpSenderOptions& options, Done done) {
  WriteRequest write(TRY(Renderer::Compile(request, names).Annotate("target.http")));
  return std::unique_ptr<RunTarget>(
      new RunTarget(io, std::move(write), outcomes, options, std::move(done)));
}

}  // namespace backfill::worker
