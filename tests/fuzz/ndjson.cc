#include "tests/fuzz/feedback.h"
#include "tests/fuzz/rows_property.h"

// Rows of an NdJson file.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  backfill::fuzz::RequireRowsAgree(
      backfill::fuzz::View(data, size),
      {.format = backfill::rows::Format::kNdJson, .key = "id", .fields = {"a"}});
  return 0;
}
