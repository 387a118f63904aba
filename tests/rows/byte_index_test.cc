#include "rows/byte_index.h"

#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <vector>

#include "rows/format.h"

namespace backfill::rows {
namespace {

std::vector<std::uint32_t> Found(const Positions& positions) {
  return {positions.at.begin(),
          positions.at.begin() + static_cast<std::ptrdiff_t>(positions.found)};
}

RC_GTEST_PROP(ByteIndexTest, EveryWayFindsWhatTheSimpleLoopFinds, ()) {
  const auto text = *rc::gen::container<std::string>(
      rc::gen::element('a', 'b', '\n', '"', ',', '\\', '\t', '\r', '\xC3', '\x20', '\x7F'));
  std::string padded = std::string(*rc::gen::inRange<std::size_t>(0, 200), 'x') + text;
  const std::size_t size = padded.size();
  padded.append(kPadding, '\0');
  const SoughtBytes sought{.quote = '"', .mark = *rc::gen::element(',', '\t'), .marks = true};
  const std::vector<IndexFunction> functions = IndexFunctions();
  Positions simple_breaks, simple_marks;
  const IndexedBytes simple =
      functions.back()(padded.data(), size, sought, 5, simple_breaks, simple_marks);
  for (const IndexFunction function : functions) {
    Positions breaks, marks;
    const IndexedBytes seen = function(padded.data(), size, sought, 5, breaks, marks);
    RC_ASSERT(Found(breaks) == Found(simple_breaks));
    RC_ASSERT(Found(marks) == Found(simple_marks));
    // It may see what lies behind the window, which costs a closer look; never overlook anything.
    RC_ASSERT(simple.ascii || !seen.ascii);
    RC_ASSERT(simple.plain || !seen.plain);
  }
}

TEST(ByteIndexTest, AppendsToWhatIsThere) {
  std::string text = "a\nb\n" + std::string(kPadding, '\0');
  Positions breaks, marks;
  IndexBytes(text.data(), 4, {}, 0, breaks, marks);
  IndexBytes(text.data(), 4, {}, 4, breaks, marks);
  EXPECT_THAT(Found(breaks), ::testing::ElementsAre(1, 3, 5, 7));
  breaks.read = 2;
  breaks.Drop(2);
  EXPECT_THAT(Found(breaks), ::testing::ElementsAre(5, 7));
  EXPECT_EQ(breaks.read, 0U);
}

}  // namespace
}  // namespace backfill::rows
