#include "rows/compressed_source.h"

#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

namespace backfill::rows {
namespace {

constexpr std::size_t kInputBytes = std::size_t{64} << 10;
constexpr std::string_view kGzipMagic = "\x1F\x8B";
constexpr std::string_view kZstdMagic = "\x28\xB5\x2F\xFD";

Error Corrupt(const std::string& what) { return Error{ErrorCode::kInvalid, what}; }

// One codec's state. Both decode as far as input and room reach.
class Codec {
 public:
  virtual ~Codec() = default;
  struct Step {
    std::size_t consumed = 0;
    std::size_t produced = 0;
    bool ended = false;  // a member or frame did
  };
  virtual Result<Step> Decode(std::span<const char> input, std::span<char> output) = 0;
  // Begins the next member or frame.
  virtual Status Restart() = 0;
  [[nodiscard]] virtual std::size_t held_bytes() const = 0;
};

class GzipCodec final : public Codec {
 public:
  static Result<std::unique_ptr<Codec>> Make() {
    auto codec = std::make_unique<GzipCodec>();
    constexpr int kGzipOnly = 16;
    if (inflateInit2(&codec->state_, kGzipOnly + MAX_WBITS) != Z_OK)
      return Error{ErrorCode::kInternal, "zlib cannot start"};
    codec->ready_ = true;
    return std::unique_ptr<Codec>(std::move(codec));
  }
  ~GzipCodec() override {
    if (ready_) inflateEnd(&state_);
  }
  Result<Step> Decode(std::span<const char> input, std::span<char> output) override {
    state_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
    state_.avail_in = static_cast<uInt>(input.size());
    state_.next_out = reinterpret_cast<Bytef*>(output.data());
    state_.avail_out = static_cast<uInt>(output.size());
    const int code = inflate(&state_, Z_NO_FLUSH);
    if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) {
      return Corrupt(std::string("the gzip data is corrupt: ") +
                     (state_.msg != nullptr ? state_.msg : zError(code)));
    }
    return Step{.consumed = input.size() - state_.avail_in,
                .produced = output.size() - state_.avail_out,
                .ended = code == Z_STREAM_END};
  }
  Status Restart() override {
    if (inflateReset(&state_) != Z_OK) return Error{ErrorCode::kInternal, "zlib cannot restart"};
    return Ok{};
  }
  [[nodiscard]] std::size_t held_bytes() const override { return std::size_t{40} << 10; }

 private:
  z_stream state_{};
  bool ready_ = false;
};

class ZstdCodec final : public Codec {
 public:
  static Result<std::unique_ptr<Codec>> Make() {
    auto codec = std::make_unique<ZstdCodec>();
    codec->state_.reset(ZSTD_createDStream());
    if (codec->state_ == nullptr ||
        ZSTD_isError(ZSTD_DCtx_setParameter(codec->state_.get(), ZSTD_d_windowLogMax,
                                            kMaxZstdWindowLog)) != 0) {
      return Error{ErrorCode::kInternal, "libzstd cannot start"};
    }
    return std::unique_ptr<Codec>(std::move(codec));
  }
  Result<Step> Decode(std::span<const char> input, std::span<char> output) override {
    ZSTD_inBuffer in{input.data(), input.size(), 0};
    ZSTD_outBuffer out{output.data(), output.size(), 0};
    const std::size_t code = ZSTD_decompressStream(state_.get(), &out, &in);
    if (ZSTD_isError(code) != 0) {
      if (ZSTD_getErrorCode(code) == ZSTD_error_frameParameter_windowTooLarge) {
        return Corrupt("the zstd data needs a window of more than " +
                       std::to_string((1 << kMaxZstdWindowLog) >> 20) +
                       " MiB; compress it without --long or --ultra");
      }
      return Corrupt(std::string("the zstd data is corrupt: ") + ZSTD_getErrorName(code));
    }
    header_.append(input.data(), std::min(in.pos, kMaxHeader - header_.size()));
    produced_ += out.pos;
    if (code == 0) TRY(CheckContentSize());
    return Step{.consumed = in.pos, .produced = out.pos, .ended = code == 0};
  }
  Status Restart() override { return Ok{}; }  // libzstd goes on by itself
  [[nodiscard]] std::size_t held_bytes() const override {
    return ZSTD_sizeof_DStream(state_.get());
  }

 private:
  static constexpr std::size_t kMaxHeader = 18;  // ZSTD_FRAMEHEADERSIZE_MAX

  // libzstd does not look at it where a frame comes in parts and ends in an empty block.
  Status CheckContentSize() {
    const unsigned long long size = ZSTD_getFrameContentSize(header_.data(), header_.size());
    const bool known = size != ZSTD_CONTENTSIZE_UNKNOWN && size != ZSTD_CONTENTSIZE_ERROR;
    if (known && size != produced_) {
      return Corrupt("the zstd data is corrupt: it holds " + std::to_string(produced_) +
                     " bytes, and should hold " + std::to_string(size));
    }
    header_.clear();
    produced_ = 0;
    return Ok{};
  }

  struct Free {
    void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
  };
  std::unique_ptr<ZSTD_DStream, Free> state_;
  std::string header_;          // the first bytes of the frame
  std::uint64_t produced_ = 0;  // by the frame
};

class DecompressedStream final : public ByteStream {
 public:
  DecompressedStream(std::unique_ptr<ByteStream> stored, std::unique_ptr<Codec> codec)
      : stored_(std::move(stored)), codec_(std::move(codec)), input_(kInputBytes) {}

  Result<std::size_t> Read(std::span<char> into, const std::stop_token& stop) override {
    while (!into.empty()) {
      if (begin_ == end_ && !at_end_) {
        end_ = TRY(stored_->Read(input_, stop));
        begin_ = 0;
        at_end_ = end_ == 0;
      }
      if (between_ && begin_ < end_) {
        TRY(codec_->Restart());
        between_ = false;
      }
      if (between_) return std::size_t{0};
      // At the end of the input the codec may still hold output.
      const Codec::Step step = TRY(codec_->Decode({input_.data() + begin_, end_ - begin_}, into));
      begin_ += step.consumed;
      if (step.ended) between_ = true;
      if (step.produced > 0) return step.produced;
      if (at_end_ && !between_) return Corrupt("the compressed data ends too early");
    }
    return std::size_t{0};
  }

  [[nodiscard]] std::size_t held_bytes() const override {
    return input_.size() + codec_->held_bytes() + stored_->held_bytes();
  }

 private:
  const std::unique_ptr<ByteStream> stored_;
  const std::unique_ptr<Codec> codec_;
  std::vector<char> input_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  bool at_end_ = false;   // of the input
  bool between_ = false;  // a member ended, none has begun
};

// At most `length` bytes of another stream.
class Limited final : public ByteStream {
 public:
  Limited(std::unique_ptr<ByteStream> stream, std::uint64_t length)
      : stream_(std::move(stream)), left_(length) {}
  Result<std::size_t> Read(std::span<char> into, const std::stop_token& stop) override {
    if (left_ == 0) return std::size_t{0};
    const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(left_, into.size()));
    const std::size_t n = TRY(stream_->Read(into.first(most), stop));
    left_ -= n;
    return n;
  }
  [[nodiscard]] std::size_t held_bytes() const override { return stream_->held_bytes(); }

 private:
  const std::unique_ptr<ByteStream> stream_;
  std::uint64_t left_;
};

class CompressedSource final : public ByteSource {
 public:
  CompressedSource(std::unique_ptr<ByteSource> stored, Compression compression)
      : stored_(std::move(stored)), compression_(compression) {}

  Result<std::unique_ptr<ByteStream>> Open(std::uint64_t offset, std::uint64_t length,
                                           const std::stop_token& stop) override {
    auto codec = TRY(compression_ == Compression::kGzip ? GzipCodec::Make() : ZstdCodec::Make());
    auto stored = TRY(stored_->Open(0, kToTheEnd, stop));
    std::unique_ptr<ByteStream> stream =
        std::make_unique<DecompressedStream>(std::move(stored), std::move(codec));
    TRY(SkipBytes(*stream, offset, stop));
    if (length == kToTheEnd) return stream;
    return std::unique_ptr<ByteStream>(std::make_unique<Limited>(std::move(stream), length));
  }
  [[nodiscard]] bool seekable() const override { return false; }
  [[nodiscard]] std::optional<std::uint64_t> stored_bytes() const override {
    return stored_->stored_bytes();
  }
  [[nodiscard]] std::uint64_t stored_bytes_read() const override {
    return stored_->stored_bytes_read();
  }

 private:
  const std::unique_ptr<ByteSource> stored_;
  const Compression compression_;
};

}  // namespace

std::optional<Compression> DetectCompression(std::string_view front) {
  if (front.starts_with(kGzipMagic)) return Compression::kGzip;
  if (front.starts_with(kZstdMagic)) return Compression::kZstd;
  // A zstd file may begin with a frame to skip: 0x184D2A50 to 0x184D2A5F, little-endian.
  if (front.size() >= 4 && (front[0] & '\xF0') == '\x50' && front.substr(1, 3) == "\x2A\x4D\x18")
    return Compression::kZstd;
  return std::nullopt;
}

std::unique_ptr<ByteSource> MakeCompressedSource(std::unique_ptr<ByteSource> stored,
                                                 Compression compression) {
  return std::make_unique<CompressedSource>(std::move(stored), compression);
}

}  // namespace backfill::rows
