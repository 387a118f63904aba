#include "rows/byte_source.h"

#include <algorithm>
#include <array>

namespace backfill::rows {

Status SkipBytes(ByteStream& stream, std::uint64_t bytes, const std::stop_token& stop) {
  std::array<char, std::size_t{16} << 10> dropped;
  while (bytes > 0) {
    const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(bytes, dropped.size()));
    const std::size_t n = TRY(stream.Read({dropped.data(), most}, stop));
    if (n == 0) break;
    bytes -= n;
  }
  return Ok{};
}

}  // namespace backfill::rows
