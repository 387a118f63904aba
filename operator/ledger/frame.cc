#include "operator/ledger/frame.h"

#include <zlib.h>

#include <boost/crc.hpp>
#include <cstdint>
#include <cstdlib>
#include <utility>

namespace backfill::ledger {
namespace {

using Crc32c = boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true>;

constexpr std::string_view kTag = "\xFD\x01";  // field 31, fixed32
constexpr std::size_t kTrailer = 2 + 4;

std::string Trailer(std::string_view message) {
  Crc32c crc;
  crc.process_bytes(message.data(), message.size());
  const std::uint32_t sum = crc.checksum();
  std::string trailer(kTag);
  for (int shift = 0; shift < 32; shift += 8) trailer += static_cast<char>((sum >> shift) & 0xFF);
  return trailer;
}

}  // namespace

std::string Seal(std::string message) {
  message += Trailer(message);
  return message;
}

Result<std::string_view> Unseal(std::string_view data) {
  if (data.size() > kMaxEncodedBytes) return Error{ErrorCode::kInvalid, "too large"};
  if (data.size() < kTrailer) return Error{ErrorCode::kInvalid, "cut short"};
  const std::string_view message = data.substr(0, data.size() - kTrailer);
  if (Trailer(message) != data.substr(message.size())) {
    return Error{ErrorCode::kInvalid, "the checksum is wrong"};
  }
  return message;
}

std::string Deflate(std::string_view data) {
  uLongf size = compressBound(data.size());
  std::string out(size, '\0');
  // Level 1: a chunk is mostly zeros and small deltas, and this runs once a second for each dirty
  // one.
  if (compress2(reinterpret_cast<Bytef*>(out.data()), &size,
                reinterpret_cast<const Bytef*>(data.data()), data.size(), 1) != Z_OK) {
    std::abort();  // only for lack of memory
  }
  out.resize(size);
  return out;
}

Result<std::string> Inflate(std::string_view data) {
  z_stream z{};
  if (inflateInit(&z) != Z_OK) std::abort();  // only for lack of memory
  z.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(data.data()));
  z.avail_in = static_cast<uInt>(data.size());  // Unseal() has bounded it
  std::string out;
  int state = Z_OK;
  while (state == Z_OK && out.size() <= kMaxEncodedBytes) {
    constexpr std::size_t kStep = std::size_t{128} << 10;
    const std::size_t old = out.size();
    out.resize(old + kStep);
    z.next_out = reinterpret_cast<Bytef*>(out.data() + old);
    z.avail_out = kStep;
    state = inflate(&z, Z_NO_FLUSH);
    out.resize(old + kStep - z.avail_out);
  }
  const bool whole = state == Z_STREAM_END && z.avail_in == 0;
  inflateEnd(&z);
  if (out.size() > kMaxEncodedBytes) return Error{ErrorCode::kInvalid, "too large when inflated"};
  if (!whole) return Error{ErrorCode::kInvalid, "cannot be inflated"};
  return out;
}

}  // namespace backfill::ledger
