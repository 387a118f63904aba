#include "operator/coordinator/rpc_log.h"

#include <gmock/gmock.h>
#include <grpc/support/log.h>
#include <gtest/gtest.h>

#include <string>

namespace backfill::coordinator {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string Logged(const char* file, gpr_log_severity severity, const char* text) {
  LogForRpc();
  testing::internal::CaptureStderr();
  gpr_log_message(file, 7, severity, text);
  return testing::internal::GetCapturedStderr();
}

TEST(RpcLogTest, WhatItSaysIsALineOfOurLog) {
  EXPECT_THAT(Logged("./src/core/lib/iomgr/tcp.cc", GPR_LOG_SEVERITY_ERROR, "no \"memory\"\n"),
              AllOf(HasSubstr(R"("level":"warning")"), HasSubstr(R"(no \"memory\")"),
                    HasSubstr("tcp.cc:7")));
}

TEST(RpcLogTest, AnybodyCanFailAHandshakeAndFillsNoLogByIt) {
  for (const char* file :
       {"./src/core/tsi/ssl_transport_security.cc",
        "./src/core/lib/security/transport/security_handshaker.cc",
        "./src/core/ext/transport/chttp2/server/chttp2_server_handshake.cc",
        "./src/core/lib/security/security_connector/ssl/ssl_security_connector.cc"})
    EXPECT_THAT(Logged(file, GPR_LOG_SEVERITY_ERROR, "No match found for server name: a."),
                IsEmpty())
        << file;
}

}  // namespace
}  // namespace backfill::coordinator
