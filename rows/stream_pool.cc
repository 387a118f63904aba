#include "rows/stream_pool.h"

#include <algorithm>
#include <utility>

namespace backfill::rows {

Result<std::uint64_t> StreamPool::Read(std::uint64_t offset, std::uint64_t bytes, const Sink& sink,
                                       const std::stop_token& stop) {
  if (source_.seekable()) {
    const std::unique_ptr<ByteStream> stream = TRY(source_.Open(offset, bytes, stop));
    ++count_;
    return Copy(*stream, bytes, sink, stop);
  }
  // A stream that failed or came to its end is not put back.
  Opened opened = TRY(Take(offset, stop));
  const std::uint64_t done = TRY(Copy(*opened.stream, bytes, sink, stop));
  opened.at = offset + done;
  if (done == bytes) Keep(std::move(opened));
  return done;
}

Result<std::uint64_t> StreamPool::Copy(ByteStream& stream, std::uint64_t bytes, const Sink& sink,
                                       const std::stop_token& stop) {
  std::uint64_t done = 0;
  std::span<char> room = sink({});
  while (done < bytes) {
    const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(room.size(), bytes - done));
    const std::size_t n = TRY(stream.Read(room.first(most), stop));
    if (n == 0) break;
    done += n;
    room = sink(room.first(n));
  }
  return done;
}

// The stream that is closest before the offset, moved up to it.
Result<StreamPool::Opened> StreamPool::Take(std::uint64_t offset, const std::stop_token& stop) {
  auto best = streams_.end();
  for (auto it = streams_.begin(); it != streams_.end(); ++it) {
    if (it->at <= offset && (best == streams_.end() || it->at > best->at)) best = it;
  }
  Opened opened;
  if (best != streams_.end()) {
    opened = std::move(*best);
    streams_.erase(best);
  } else {
    opened.stream = TRY(source_.Open(0, kToTheEnd, stop));
    ++count_;
  }
  TRY(SkipBytes(*opened.stream, offset - opened.at, stop));
  return opened;
}

void StreamPool::Keep(Opened opened) {
  opened.used = ++calls_;
  streams_.push_back(std::move(opened));
  const auto held = [this] {
    std::size_t bytes = 0;
    for (const Opened& o : streams_) bytes += o.stream->held_bytes();
    return bytes;
  };
  while (streams_.size() > kMaxStreams || (streams_.size() > 1 && held() > kMaxHeldBytes)) {
    streams_.erase(
        std::min_element(streams_.begin(), streams_.end(),
                         [](const Opened& a, const Opened& b) { return a.used < b.used; }));
  }
}

}  // namespace backfill::rows
