#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "rows/byte_source.h"

namespace backfill::rows {

// A file in memory, with levers: whether it can be read from anywhere, how much a read gives.
class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(std::string bytes) : bytes_(std::move(bytes)) {}

  void ReadForwardOnly() { seekable_ = false; }
  void BeExpensiveToReread() { cheap_to_reread_ = false; }
  // Reads give so many bytes, in turn and over again.
  void ReadInSteps(std::vector<std::size_t> steps) { steps_ = std::move(steps); }
  void Become(std::string bytes) { bytes_ = std::move(bytes); }
  // Whoever opens it a second time finds these.
  void BecomeWhenReopened(std::string bytes) { later_ = std::move(bytes); }
  void HideSize() { sized_ = false; }
  void FailNextRead(Error error) { failure_ = std::move(error); }

  Result<std::unique_ptr<ByteStream>> Open(std::uint64_t offset, std::uint64_t length,
                                           const std::stop_token& /*stop*/) override {
    if (++opened_ == 2 && later_) bytes_ = *later_;
    return std::unique_ptr<ByteStream>(std::make_unique<Stream>(*this, offset, length));
  }
  [[nodiscard]] bool seekable() const override { return seekable_; }
  [[nodiscard]] bool cheap_to_reread() const override { return seekable_ && cheap_to_reread_; }
  [[nodiscard]] std::optional<std::uint64_t> stored_bytes() const override {
    return sized_ ? std::optional<std::uint64_t>(bytes_.size()) : std::nullopt;
  }
  [[nodiscard]] std::uint64_t stored_bytes_read() const override { return read_; }
  [[nodiscard]] int opened() const { return opened_; }

 private:
  class Stream final : public ByteStream {
   public:
    Stream(MemorySource& source, std::uint64_t at, std::uint64_t length)
        : source_(source), at_(at), left_(length) {}
    Result<std::size_t> Read(std::span<char> into, const std::stop_token& stop) override {
      if (stop.stop_requested()) return Error{ErrorCode::kAborted, "stopped"};
      if (auto failure = std::exchange(source_.failure_, std::nullopt)) return *failure;
      if (at_ >= source_.bytes_.size()) return std::size_t{0};
      std::size_t n = std::min<std::uint64_t>({into.size(), left_, source_.bytes_.size() - at_});
      if (!source_.steps_.empty()) n = std::min(n, source_.steps_[step_++ % source_.steps_.size()]);
      std::memcpy(into.data(), source_.bytes_.data() + at_, n);
      at_ += n;
      left_ -= n;
      source_.read_ = std::max(source_.read_, at_);
      return n;
    }

   private:
    MemorySource& source_;
    std::uint64_t at_;
    std::uint64_t left_;
    std::size_t step_ = 0;
  };

  std::string bytes_;
  bool seekable_ = true;
  bool cheap_to_reread_ = true;
  bool sized_ = true;
  std::vector<std::size_t> steps_;
  std::optional<std::string> later_;
  std::optional<Error> failure_;
  std::uint64_t read_ = 0;
  int opened_ = 0;
};

}  // namespace backfill::rows
