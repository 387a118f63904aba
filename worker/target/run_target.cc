#include "worker/target/run_target.h"

#include <utility>

namespace backfill::worker {

Result<std::unique_ptr<RunTarget>> RunTarget::Create(boost::asio::io_context& io,
                                                     const RequestTemplate& request,
                                                     const TemplateNames& names,
                                                     const OutcomeMap& outcomes,
                                                     const HttpSenderOptions& options, Done done) {
  const WriteRequest write(TRY(Renderer::Compile(request, names).Annotate("target.http")));
  HttpSender sender = TRY(HttpSender::Create(io, write, outcomes, options, std::move(done)));
  return std::unique_ptr<RunTarget>(new RunTarget(std::move(sender)));
}

}  // namespace backfill::worker
