#include "rows/key_order.h"

#include <algorithm>
#include <bit>

#include "rows/unaligned.h"

namespace backfill::rows {
namespace {

// A number that compares as the bytes do.
std::uint64_t Word(const char* p) {
  const auto word = LoadUnaligned<std::uint64_t>(p);
  return std::endian::native == std::endian::little ? __builtin_bswap64(word) : word;
}

// < 0, 0, > 0 as memcmp, of keys of one length; most have 8 to 16 bytes.
int CompareAlike(std::string_view a, std::string_view b) {
  if (a.size() < 8 || a.size() > 16) return a.compare(b);
  std::uint64_t x = Word(a.data());
  std::uint64_t y = Word(b.data());
  if (x == y) {
    x = Word(a.data() + a.size() - 8);
    y = Word(b.data() + b.size() - 8);
  }
  return (x > y ? 1 : 0) - (x < y ? 1 : 0);
}

}  // namespace

bool KeyOrder::Add(std::span<const KeyOrFault> keys) {
  std::string_view last = last_;
  for (const KeyOrFault& next : keys) {
    if (next.fault != Fault::kNone) continue;
    const std::string_view key = next.key;
    if (key.size() == last.size()) {
      const int order = CompareAlike(last, key);
      if (order > 0) return false;
      repeated_ += order == 0 ? 1 : 0;
    } else {
      by_length_ = by_length_ && last.size() < key.size();
      by_bytes_ = by_bytes_ && last < key;
      if (!by_length_ && !by_bytes_) return false;
    }
    last = key;
  }
  last_.assign(std::string(last));  // `last` may be a view of it
  return true;
}

}  // namespace backfill::rows
