#include "operator/coordinator/rpc_log.h"

#include <grpc/support/log.h>

#include <string>
#include <string_view>

#include "base/log.h"

namespace backfill::coordinator {
namespace {

LogLevel LevelOfRpc(gpr_log_severity severity, std::string_view file) {
  const bool handshake = file.find("/tsi/") != std::string_view::npos ||
                         file.find("handshake") != std::string_view::npos ||
                         file.find("security_connector") != std::string_view::npos;
  return severity == GPR_LOG_SEVERITY_ERROR && !handshake ? LogLevel::kWarning : LogLevel::kDebug;
}

void Write(gpr_log_func_args* args) {
  const std::string_view file(args->file);
  Log(LevelOfRpc(args->severity, file), "gRPC says",
      {{"text", args->message},
       {"at", std::string(file.substr(file.rfind('/') + 1)) + ":" + std::to_string(args->line)}});
}

}  // namespace

void LogForRpc() {
  gpr_log_verbosity_init();  // before that it says nothing
  gpr_set_log_function(&Write);
}

}  // namespace backfill::coordinator
