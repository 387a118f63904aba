#include "operator/kube/client/line_splitter.h"

namespace backfill::kube {

void LineSplitter::Append(std::string_view bytes) {
  if (begin_ > 0) {
    buffer_.erase(0, begin_);
    scanned_ -= begin_;
    begin_ = 0;
  }
  buffer_.append(bytes);
}

std::optional<std::string_view> LineSplitter::Next() {
  if (too_long_) return std::nullopt;
  const std::size_t end = buffer_.find('\n', scanned_);
  const std::size_t length = (end == std::string::npos ? buffer_.size() : end) - begin_;
  if (length > max_) {
    too_long_ = true;
    return std::nullopt;
  }
  if (end == std::string::npos) {
    scanned_ = buffer_.size();
    return std::nullopt;
  }
  std::string_view line = std::string_view(buffer_).substr(begin_, length);
  if (line.ends_with('\r')) line.remove_suffix(1);
  begin_ = scanned_ = end + 1;
  return line;
}

}  // namespace backfill::kube
