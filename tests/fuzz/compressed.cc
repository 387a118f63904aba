#include <algorithm>
#include <array>
#include <memory>
#include <string>

#include "rows/compressed_source.h"
#include "tests/fuzz/feedback.h"
#include "tests/rows/memory_source.h"

// A compressed file: corrupt data is said to be, and how it comes in makes no difference.
namespace backfill::fuzz {
namespace {

constexpr std::size_t kEnough = std::size_t{1} << 20;  // a small file may hold gigabytes

struct Decompressed {
  std::string bytes;
  std::string refused;
};

Decompressed Read(std::string_view stored, rows::Compression compression, std::size_t step) {
  auto source = std::make_unique<rows::MemorySource>(std::string(stored));
  if (step > 0) source->ReadInSteps({step});
  const auto opened = rows::MakeCompressedSource(std::move(source), compression);
  Decompressed out;
  auto stream = opened->Open(0, rows::kToTheEnd, {});
  Require(stream.ok(), "opening reads nothing");
  std::array<char, 4096> block{};
  while (out.bytes.size() < kEnough) {
    const auto n = (*stream)->Read(block, {});
    if (!n.ok()) {
      out.refused = n.error().message;
      break;
    }
    if (*n == 0) break;
    out.bytes.append(block.data(), *n);
  }
  out.bytes.resize(std::min(out.bytes.size(), kEnough));
  return out;
}

}  // namespace
}  // namespace backfill::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace backfill;
  const std::string_view stored = fuzz::View(data, size);
  const auto compression = rows::DetectCompression(stored.substr(0, 4));
  if (!compression) return 0;
  const fuzz::Decompressed whole = fuzz::Read(stored, *compression, 0);
  fuzz::Saw(whole.refused);
  const fuzz::Decompressed parts = fuzz::Read(stored, *compression, 3);
  // Which fault is found, and what comes out before, depends on how much is looked at at once.
  fuzz::Require(parts.refused.empty() == whole.refused.empty(), "it is refused or not");
  if (whole.refused.empty()) fuzz::Require(parts.bytes == whole.bytes, "it holds the same");
  return 0;
}
