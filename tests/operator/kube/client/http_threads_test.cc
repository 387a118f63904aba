// None of the library's threads may wait for another of them: here there is only one.
#include <gtest/gtest.h>

#include <string>

#include "operator/kube/client/rest_transport.h"
#include "tests/operator/kube/client/rest_fixture.h"
#include "tests/worker/target/raw_server.h"

namespace backfill::kube {
namespace {

using fakes::RawServer;

class HttpThreadsTest : public RawServerFixture {
 protected:
  static void SetUpTestSuite() { ASSERT_TRUE(StartHttpThreads(1)); }
};

TEST_F(HttpThreadsTest, AResponseThatIsNotWantedHoldsUpNoOther) {
  const std::string too_much = std::string(kChunkedHead) + Chunk(std::string(5000, 'y'));
  Serve([&](int fd, const std::string& request, int) {
    return RawServer::Say(fd, request.starts_with("GET /large ") ? too_much : Reply("small"));
  });
  const auto large = Send({.target = "/large", .max_response_bytes = 1000});
  EXPECT_EQ(FailsWith(large, ErrorCode::kInvalid, "more than 1000 bytes"), "");
  const auto small = Get("/small");
  ASSERT_TRUE(small.ok()) << small.error().message;
  EXPECT_EQ(small->body, "small");
}

}  // namespace
}  // namespace backfill::kube
