#include "tests/fuzz/feedback.h"
#include "tests/fuzz/rows_property.h"

// Rows of a file of Lines.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  backfill::fuzz::RequireRowsAgree(backfill::fuzz::View(data, size),
                                   {.format = backfill::rows::Format::kLines});
  return 0;
}
