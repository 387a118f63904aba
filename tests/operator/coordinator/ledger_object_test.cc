#include "operator/coordinator/ledger_object.h"

#include <rapidcheck.h>

namespace backfill::coordinator {
namespace {

TEST(LedgerObject, AnyBytesComeBackAsTheyWere) {
  EXPECT_TRUE(rc::check([](const std::string& data, std::uint64_t epoch, std::uint64_t sequence) {
    const LedgerContent content{
        .epoch = {epoch}, .sequence = sequence, .chunks = 7, .writer = "00ff", .data = data};
    const auto decoded = DecodeContent(EncodeContent(content));
    RC_ASSERT(decoded.ok());
    RC_ASSERT(decoded->data == data);
    RC_ASSERT(decoded->epoch.value == epoch);
    RC_ASSERT(decoded->sequence == sequence);
    RC_ASSERT(decoded->chunks == 7);
    RC_ASSERT(decoded->writer == "00ff");
  }));
}

TEST(LedgerObject, HasAFormThatDoesNotDrift) {
  EXPECT_EQ(
      EncodeContent({.epoch = {3}, .sequence = 12, .chunks = 2, .writer = "ab", .data = "hello"}),
      R"({"epoch":3,"seq":12,"chunks":2,"writer":"ab","data":"aGVsbG8="})");
}

TEST(LedgerObject, RefusesWhatIsNotOne) {
  const std::string deep(100'000, '[');
  for (const std::string& text : std::vector<std::string>{
           "", "{}", "[]", "null", deep, R"({"epoch":3,"seq":12,"chunks":2,"writer":"ab"})",
           R"({"epoch":"3","seq":12,"chunks":2,"writer":"ab","data":""})",
           R"({"epoch":-3,"seq":12,"chunks":2,"writer":"ab","data":""})",
           R"({"epoch":3.5,"seq":12,"chunks":2,"writer":"ab","data":""})",
           R"({"epoch":3,"seq":12,"chunks":99999999999,"writer":"ab","data":""})",
           R"({"epoch":3,"seq":12,"chunks":2,"writer":7,"data":""})",
           R"({"epoch":3,"seq":12,"chunks":2,"writer":"ab","data":"a"})",
           R"({"epoch":3,"seq":12,"chunks":2,"writer":"ab","data":"a=a="})",
           R"({"epoch":3,"seq":12,"chunks":2,"writer":"ab","data":" aaa"})",
           R"({"epoch":3,"seq":12,"chunks":2,"writer":"ab","data":"===="})",
           R"({"epoch":3,"seq":12,"chunks":2,"writer":"ab","data":"aGVsbG8=")"}) {
    const auto decoded = DecodeContent(text);
    ASSERT_FALSE(decoded.ok()) << text;
    EXPECT_EQ(decoded.error().code, ErrorCode::kInternal);
  }
}

}  // namespace
}  // namespace backfill::coordinator
