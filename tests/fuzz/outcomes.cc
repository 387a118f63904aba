#include <string>

#include "rows/utf8.h"
#include "tests/fuzz/feedback.h"
#include "worker/target/outcome_map.h"

// The body of a reply to a batch: what it says of single records.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace backfill;
  using fuzz::Require, fuzz::Saw;
  using worker::Outcome, worker::ReplyOutcomes;
  const std::vector<worker::Record> records = {{.position = 0, .key = "a"},
                                               {.position = 1, .key = "7"},
                                               {.position = 2, .key = "a"},
                                               {.position = 3, .key = "\xC3\xA4"}};
  const ReplyOutcomes said = worker::ParseOutcomes(fuzz::View(data, size), records);
  Require(said.verdicts.empty() || said.kind == ReplyOutcomes::Kind::kVerdicts,
          "verdicts come from a reply that has some");
  Require(said.verdicts.size() <= 4 * records.size(), "a reply that repeats itself is left");
  Saw("kind " + std::string(1, static_cast<char>('a' + static_cast<int>(said.kind))));
  for (const auto& [index, verdict] : said.verdicts) {
    Require(index < records.size(), "it is of a record that was sent");
    Require(verdict.message.size() <= 256 && rows::IsUtf8(verdict.message), "words are bounded");
    Require(verdict.outcome == Outcome::kFailed || verdict.message.empty(), "success needs none");
    Saw(std::string(1, static_cast<char>('a' + static_cast<int>(verdict.outcome))) +
        static_cast<char>('a' + static_cast<int>(verdict.failure)) +
        static_cast<char>('a' + static_cast<int>(index)));
  }
  return 0;
}
