#include <algorithm>
#include <string>

#include "operator/api/decode.h"
#include "tests/fuzz/feedback.h"

// A file of a Backfill: refused with words, or read; and what was read is written so that it is
// read as the same.
namespace backfill::fuzz {
namespace {

void RequireSame(const api::Backfill& a, const api::Backfill& b) {
  Require(a.name == b.name && a.ns == b.ns, "name and namespace survive");
  Require(a.annotations == b.annotations && a.labels == b.labels, "annotations and labels survive");
  Require(a.spec == b.spec, "the spec survives");
  Require(api::CanonicalWork(a.spec) == api::CanonicalWork(b.spec), "equal work has equal bytes");
}

void RequireReadAgain(const std::string& text, const api::Backfill& as) {
  const api::Decoded again = api::DecodeBackfill(text, "again");
  Require(again.backfill.has_value(),
          again.problems.empty() ? "" : "what is written is read: " + ToString(again.problems[0]));
  RequireSame(*again.backfill, as);
}

}  // namespace
}  // namespace backfill::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace backfill;
  using fuzz::Require, fuzz::Saw;
  const std::string_view text = fuzz::View(data, size);
  const api::Decoded decoded = api::DecodeBackfill(text, "f.yaml");
  Require(decoded.backfill.has_value() == decoded.problems.empty(), "refused with words, or read");
  const auto lines = 1 + std::ranges::count(text, '\n');
  for (const auto* problems : {&decoded.problems, &decoded.warnings}) {
    for (const api::Problem& problem : *problems) {
      Require(!problem.message.empty(), "a problem has words");
      Require(problem.line >= 0 && problem.line <= lines, "a problem stands in the file");
      Saw(problem.message);
    }
  }
  if (!decoded.backfill) return 0;
  fuzz::RequireReadAgain(api::ToYaml(*decoded.backfill), *decoded.backfill);
  fuzz::RequireReadAgain(api::ToJson(*decoded.backfill), *decoded.backfill);
  const auto stored = api::FromObject(api::ToObject(*decoded.backfill));
  Require(stored.ok(), "what is stored is read");
  fuzz::RequireSame(*stored, *decoded.backfill);
  return 0;
}
