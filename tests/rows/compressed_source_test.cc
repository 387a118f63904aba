#include "rows/compressed_source.h"

#include <zlib.h>
#include <zstd.h>

#include <string>
#include <vector>

#include "memory_source.h"

namespace backfill::rows {
namespace {

using ::testing::HasSubstr;

std::string Gzip(const std::string& text) {
  z_stream state{};
  deflateInit2(&state, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&state, text.size()), '\0');
  std::string in = text;
  state.next_in = reinterpret_cast<Bytef*>(in.data());
  state.avail_in = static_cast<uInt>(in.size());
  state.next_out = reinterpret_cast<Bytef*>(out.data());
  state.avail_out = static_cast<uInt>(out.size());
  deflate(&state, Z_FINISH);
  out.resize(state.total_out);
  deflateEnd(&state);
  return out;
}

std::string Zstd(const std::string& text, int window_log) {
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  if (window_log > 0) ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
  ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  std::string out(ZSTD_compressBound(text.size()) + 100, '\0');
  ZSTD_inBuffer in{text.data(), text.size(), 0};
  ZSTD_outBuffer to{out.data(), out.size(), 0};
  // In two calls, so that the size is not known beforehand and the window stays as it was set.
  ZSTD_compressStream2(context, &to, &in, ZSTD_e_flush);
  ZSTD_compressStream2(context, &to, &in, ZSTD_e_end);
  out.resize(to.pos);
  ZSTD_freeCCtx(context);
  return out;
}

std::string ZstdAsUsual(const std::string& text) { return Zstd(text, 0); }

std::string SomeText() {
  std::string text;
  for (int i = 0; i < 50'000; ++i) text += std::to_string(i * 7919) + "\n";
  return text;
}

Result<std::string> ReadFrom(const std::string& stored, std::uint64_t offset = 0,
                             std::uint64_t length = kToTheEnd, std::size_t step = 1 << 20) {
  const auto compression = DetectCompression(std::string_view(stored).substr(0, 4));
  if (!compression) return Error{ErrorCode::kInternal, "not compressed"};
  auto memory = std::make_unique<MemorySource>(stored);
  memory->ReadInSteps({step});
  const auto source = MakeCompressedSource(std::move(memory), *compression);
  const auto stream = TRY(source->Open(offset, length, {}));
  std::string text;
  std::vector<char> buffer(10'000);
  for (;;) {
    const std::size_t n = TRY(stream->Read(buffer, {}));
    if (n == 0) return text;
    text.append(buffer.data(), n);
  }
}

TEST(CompressedSourceTest, KnowsCompressionByItsFirstBytes) {
  EXPECT_EQ(DetectCompression("\x1F\x8B\x08"), Compression::kGzip);
  EXPECT_EQ(DetectCompression("\x28\xB5\x2F\xFD"), Compression::kZstd);
  EXPECT_EQ(DetectCompression("\x5A\x2A\x4D\x18"), Compression::kZstd);
  EXPECT_EQ(DetectCompression("id,a"), std::nullopt);
  EXPECT_EQ(DetectCompression(""), std::nullopt);
}

class CodecTest : public ::testing::TestWithParam<std::string (*)(const std::string&)> {
 protected:
  static std::string Compress(const std::string& text) { return GetParam()(text); }
};

TEST_P(CodecTest, GivesWhatWasCompressedInAnySteps) {
  const std::string text = SomeText();
  for (const std::size_t step : {std::size_t{1}, std::size_t{7}, std::size_t{1} << 20})
    EXPECT_EQ(*ReadFrom(Compress(text), 0, kToTheEnd, step), text);
  EXPECT_EQ(*ReadFrom(Compress("")), "");
}

TEST_P(CodecTest, CanBeginFurtherOnAndEndEarly) {
  const std::string text = SomeText();
  EXPECT_EQ(*ReadFrom(Compress(text), 123'456, 1'000), text.substr(123'456, 1'000));
  EXPECT_EQ(*ReadFrom(Compress(text), text.size() + 5), "");
}

TEST_P(CodecTest, TakesSeveralPartsAsOne) {
  for (const std::size_t step : {std::size_t{1}, std::size_t{1} << 20})
    EXPECT_EQ(*ReadFrom(Compress("one\n") + Compress("") + Compress("two\n"), 0, kToTheEnd, step),
              "one\ntwo\n");
}

TEST_P(CodecTest, SaysThatItWasCutShort) {
  const std::string stored = Compress(SomeText());
  for (const std::size_t size : {std::size_t{5}, stored.size() / 2, stored.size() - 1}) {
    const auto text = ReadFrom(stored.substr(0, size));
    ASSERT_FALSE(text.ok()) << size;
    EXPECT_EQ(text.error().code, ErrorCode::kInvalid);
    EXPECT_EQ(text.error().message, "the compressed data ends too early");
  }
  // Also in the second part.
  EXPECT_FALSE(ReadFrom(stored + stored.substr(0, 6)).ok());
}

TEST_P(CodecTest, SaysThatItIsCorrupt) {
  std::string stored = Compress(SomeText());
  stored[stored.size() / 2] = static_cast<char>(stored[stored.size() / 2] ^ 0x55);
  EXPECT_THAT(ReadFrom(stored).error().message, HasSubstr("corrupt"));
  EXPECT_THAT(ReadFrom(Compress("a") + "garbage").error().message, HasSubstr("corrupt"));
}

INSTANTIATE_TEST_SUITE_P(Codecs, CodecTest, ::testing::Values(&Gzip, &ZstdAsUsual));

// A header that says 312 bytes, and one block, which is empty.
TEST(CompressedSourceTest, NoticesThatAZstdFrameHoldsLessThanItSays) {
  const std::string frame("\x28\xB5\x2F\xFD\x40\x00\x38\x00\x01\x00\x00", 11);
  for (const std::size_t step : {1U, 3U, 100U}) {
    const auto text = ReadFrom(frame, 0, kToTheEnd, step);
    ASSERT_FALSE(text.ok()) << step;
    EXPECT_THAT(text.error().message, HasSubstr("corrupt"));
  }
}

TEST(CompressedSourceTest, RefusesAZstdWindowThatIsTooLarge) {
  const std::string text(20 << 20, 'x');
  EXPECT_EQ(ReadFrom(Zstd(text, 23))->size(), text.size());
  EXPECT_THAT(ReadFrom(Zstd(text, 27)).error().message,
              HasSubstr("needs a window of more than 8 MiB"));
}

}  // namespace
}  // namespace backfill::rows
