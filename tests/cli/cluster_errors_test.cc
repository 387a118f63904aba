#include "cli/cluster_errors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace backfill::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const ClusterFacts kFacts{.server = "https://10.0.0.1:6443", .context = "dev", .ns = "shop"};

std::string Explained(ErrorCode code) {
  return Explain({code, "what it said"}, kFacts, "backfill-viewer").message;
}

TEST(ClusterErrorsTest, NameTheServerWhereItIsTheServer) {
  for (const ErrorCode code :
       {ErrorCode::kUnauthenticated, ErrorCode::kUnavailable, ErrorCode::kDeadline}) {
    EXPECT_THAT(Explained(code),
                AllOf(HasSubstr("https://10.0.0.1:6443 (context dev)"), HasSubstr("what it said")));
  }
}

TEST(ClusterErrorsTest, NameTheRoleWhereItIsARight) {
  EXPECT_THAT(Explained(ErrorCode::kPermission),
              AllOf(HasSubstr("what it said"), HasSubstr("the role backfill-viewer allows it")));
}

TEST(ClusterErrorsTest, LeaveTheRestAsItIs) {
  for (const ErrorCode code : {ErrorCode::kNotFound, ErrorCode::kConflict, ErrorCode::kExpired,
                               ErrorCode::kInvalid, ErrorCode::kAborted, ErrorCode::kInternal})
    EXPECT_EQ(Explained(code), "what it said");
}

TEST(ClusterErrorsTest, KeepTheCodeThatCallersDecideBy) {
  EXPECT_EQ(Explain({ErrorCode::kDeadline, ""}, kFacts, "").code, ErrorCode::kDeadline);
  EXPECT_EQ(NoSuchKind(kFacts).code, ErrorCode::kNotFound);
}

TEST(ClusterErrorsTest, SayNoContextInAPod) {
  EXPECT_EQ(ServerText({.server = "https://k", .context = "", .ns = ""}),
            "the API server https://k");
}

}  // namespace
}  // namespace backfill::cli
