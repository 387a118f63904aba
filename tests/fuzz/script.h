#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace backfill::fuzz {

// Bytes read as a script of steps and their arguments; zero where they have ended.
class Script {
 public:
  explicit Script(std::string_view bytes) : bytes_(bytes) {}

  [[nodiscard]] bool ended() const { return bytes_.empty(); }
  std::uint8_t Byte() {
    if (ended()) return 0;
    const auto byte = static_cast<std::uint8_t>(bytes_.front());
    bytes_.remove_prefix(1);
    return byte;
  }
  // One of 0 .. n - 1.
  std::uint8_t Below(std::uint8_t n) { return static_cast<std::uint8_t>(Byte() % n); }
  bool Flip() { return (Byte() & 1U) != 0; }
  // Eight bytes: any number at all.
  std::uint64_t Any() {
    std::uint64_t value = 0;
    for (int i = 0; i < 8; ++i) value = value << 8U | Byte();
    return value;
  }
  // A byte says how many.
  std::string_view Text() {
    const std::size_t size = Byte();
    const std::string_view text = bytes_.substr(0, size);
    bytes_.remove_prefix(text.size());
    return text;
  }

 private:
  std::string_view bytes_;
};

}  // namespace backfill::fuzz
