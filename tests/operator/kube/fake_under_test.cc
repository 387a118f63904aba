// The contract's server: the fake.

#include <fstream>
#include <sstream>

#include "tests/fakes/crd_schema.h"
#include "tests/fakes/fake_api_server.h"
#include "tests/fakes/manual_clock.h"
#include "tests/operator/kube/api_server_under_test.h"

namespace backfill::kube {
namespace {

class FakeUnderTest final : public ApiServerUnderTest {
 public:
  FakeUnderTest() : server_(clock_) {
    server_.UseSchema("backfills", fakes::BackfillSchema());
    std::ifstream in(std::string(BACKFILL_CRDS) + "/backfill.dev_backfillledgers.yaml");
    std::stringstream text;
    text << in.rdbuf();
    server_.UseSchema("backfillledgers", fakes::SchemaOfCrd(text.str()));
  }
  HttpTransport& transport() override { return server_; }
  const Clock& clock() override { return clock_; }
  void LetTimePass() override { clock_.Advance(std::chrono::milliseconds(200)); }

 private:
  fakes::ManualClock clock_;
  fakes::FakeApiServer server_;
};

}  // namespace

ServerKind ServerOfThisBinary() {
  return {"Fake", [](std::string& /*why_not*/) { return std::make_unique<FakeUnderTest>(); }};
}

}  // namespace backfill::kube
