#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "rows/byte_source.h"

namespace backfill::rows {

enum class Compression { kGzip, kZstd };

// By the first bytes of a file (four are enough); nothing if it is not compressed.
std::optional<Compression> DetectCompression(std::string_view front);

// What a compressed file holds. Offsets are those of the decompressed bytes; a stream that begins
// further on reads and drops what lies before. Several gzip members or zstd frames in a row are one
// file, as their tools have it. Input that ends inside one, or has something else behind one, is
// kInvalid. A zstd window is at most kMaxZstdWindow, since every stream holds one.
inline constexpr int kMaxZstdWindowLog = 23;  // 8 MiB, which `zstd -19` stays within

// The bytes stay where they are; `stored` moves in.
std::unique_ptr<ByteSource> MakeCompressedSource(std::unique_ptr<ByteSource> stored,
                                                 Compression compression);

}  // namespace backfill::rows
