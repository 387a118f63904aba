#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace backfill::kube {

// Makes lines of bytes that come in any pieces (R7). One thread.
class LineSplitter {
 public:
  explicit LineSplitter(std::size_t max_line_bytes) : max_(max_line_bytes) {}

  void Append(std::string_view bytes);
  // The next complete line without its line break, valid until Append; nothing: more has to come,
  // or the next line is longer than allowed.
  std::optional<std::string_view> Next();
  [[nodiscard]] bool too_long() const { return too_long_; }

 private:
  const std::size_t max_;
  std::string buffer_;
  std::size_t begin_ = 0;    // of the next line
  std::size_t scanned_ = 0;  // no line break from begin_ to here
  bool too_long_ = false;
};

}  // namespace backfill::kube
