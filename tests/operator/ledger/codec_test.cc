#include "operator/ledger/codec.h"

#include <gmock/gmock.h>
#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <limits>

#include "backfill/v1/ledger.pb.h"
#include "operator/ledger/frame.h"
#include "operator/ledger/ledger.h"

namespace backfill::ledger {
namespace {

Shard Pending(int slot, Range range) {
  Shard s;
  s.id = {2 * kSlotsPerChunk + slot};
  s.range = range;
  s.planned = range.size();
  s.cursor = range.begin;
  return s;
}

Shard Done(int slot, Range range, OutcomeCounts counts) {
  Shard s = Pending(slot, range);
  s.state = ShardState::kDone;
  s.attempt = {1};
  s.cursor = range.end;
  s.counts = counts;
  return s;
}

// One of each kind: done, in flight, given back half-way, never touched, split off.
std::vector<Shard> Examples() {
  Shard held = Pending(1, {1000, 2000});
  held.state = ShardState::kInFlight;
  held.attempt = {7};
  held.holder = "run-3/5f2c";
  held.epoch = {4};
  held.cursor = 1200;
  held.done_above = std::string("\x02\x00\x80", 3);
  held.counts = {.updated = 190, .unchanged = 5, .skipped = 4, .failed = 3};
  held.in_flight = 16;
  Shard given_back = Pending(2, {2000, 2600});
  given_back.attempt = {2};
  given_back.cursor = 2001;
  given_back.counts = {.updated = 1};
  return {Done(0, {-10, 1000}, {.updated = 1000, .failed = 10}), held, given_back,
          Pending(3, {3000, 4000}), Pending(500, {2600, 3000})};
}

const ChunkHeader kHeader{.plan_hash = "sha256:feed",
                          .epoch = {4},
                          .sequence = 9,
                          .chunk = 2,
                          .chunks = 3,
                          .redone_at_most = 300};

std::string ToHex(std::string_view bytes) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    out += kHex[static_cast<unsigned char>(c) >> 4];
    out += kHex[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

// What is in stores out there: a change here is a change of format, and needs a new codec number.
TEST(CodecTest, WritesTheSameBytesAsEver) {
  EXPECT_EQ(ToHex(EncodeChunk(kHeader, Examples())),
            "0801120b7368613235363a66656564180420092802320600010101f1033a07130000a006ef15420af207"
            "e807d804e80790034a050000000000520502010000005a0501070200006207e807be010100006a050005"
            "000000720500040000007a050a0300000082011a0801120a72756e2d332f35663263180420c8012a0302"
            "00803010820104080220019001ac02980103fd01e8449d33");
}

TEST(CodecTest, ReadsBackWhatItWrote) {
  const DecodedChunk back = DecodeChunk(EncodeChunk(kHeader, Examples())).value();
  EXPECT_EQ(back.header, kHeader);
  EXPECT_EQ(back.shards, Examples());
}

TEST(CodecTest, ReadsBackTheEdgesOfTheKeySpace) {
  constexpr Position kLowest = std::numeric_limits<Position>::min();
  constexpr Position kHighest = std::numeric_limits<Position>::max();
  for (const std::vector<Shard>& shards :
       {std::vector{Pending(0, {kLowest, kHighest})},
        std::vector{Pending(0, {kLowest, -1}), Pending(1, {-1, kHighest})},
        std::vector{Pending(0, {kLowest, kLowest + 1}), Pending(1, {kHighest - 1, kHighest})}}) {
    EXPECT_EQ(DecodeChunk(EncodeChunk(kHeader, shards)).value().shards, shards);
  }
}

// Every slot taken, every shard with a full bitmap of noise and a long holder: the worst that
// workers can cause.
std::vector<Shard> Worst() {
  std::vector<Shard> shards;
  std::uint64_t noise = 88172645463325252ULL;
  for (int slot = 0; slot < kSlotsPerChunk; ++slot) {
    Shard s = Pending(slot, {slot * 20'000LL, (slot + 1) * 20'000LL});
    s.state = ShardState::kInFlight;
    s.attempt = {kMaxAttempt};
    s.epoch = {1ULL << 40};
    s.holder.assign(kMaxHolderBytes, 'h');
    s.cursor += 10'000;
    for (std::size_t i = 0; i < kMaxBitmapBytes; ++i) {
      noise ^= noise << 13, noise ^= noise >> 7, noise ^= noise << 17;  // xorshift
      s.done_above += static_cast<char>(noise | 1);
    }
    s.counts.updated = 10'000 + CountBits(s.done_above);
    shards.push_back(std::move(s));
  }
  return shards;
}

TEST(CodecTest, KeepsTheWorstChunkBelowTheLimits) {
  const std::vector<Shard> shards = Worst();
  const std::string data = EncodeChunk(kHeader, shards);
  EXPECT_LT(data.size() / 3 * 4, 1'500'000U);  // as base64 it must fit into an object
  EXPECT_EQ(DecodeChunk(data).value().shards, shards);
}

TEST(CodecTest, DeflatesWhatIsLarge) {
  std::vector<Shard> shards;
  for (int slot = 0; slot < kSlotsPerChunk; ++slot) {
    Shard s = Pending(slot, {slot * 1000LL, slot * 1000LL + 1000});
    s.state = ShardState::kInFlight;
    s.attempt = {1};
    s.holder = "a-worker-with-a-rather-long-name-for-a-worker-17/0123456789abcdef0123456789abcdef";
    s.holder += std::to_string(slot);
    shards.push_back(std::move(s));
  }
  const std::string data = EncodeChunk(kHeader, shards);
  EXPECT_LT(data.size(), 20'000U);
  EXPECT_EQ(DecodeChunk(data).value().shards, shards);
}

std::string ErrorOf(std::string_view data) {
  const auto decoded = DecodeChunk(data);
  if (decoded.ok()) return "it decodes";
  EXPECT_EQ(decoded.error().code, ErrorCode::kInvalid);
  return decoded.error().message;
}

// A chunk with a right checksum, but with other contents than EncodeChunk() writes.
template <typename Change>
std::string Forged(Change change) {
  const std::string sealed = EncodeChunk(kHeader, Examples());
  v1::LedgerChunk m;
  m.ParseFromString(std::string(Unseal(sealed).value()));
  change(m);
  return Seal(m.SerializeAsString());
}

using Message = v1::LedgerChunk;

TEST(CodecTest, SaysWhatIsWrong) {
  EXPECT_EQ(ErrorOf(""), "cut short");
  EXPECT_EQ(ErrorOf(Seal("\xFF")), "cannot be parsed");
  EXPECT_EQ(ErrorOf(Forged([](Message& m) { m.set_codec(3); })),
            "codec 3 is not known to this version");
  EXPECT_EQ(ErrorOf(Forged([](Message& m) { m.set_chunk(3); })), "a chunk number out of bounds");
  EXPECT_EQ(ErrorOf(Forged([](Message& m) { m.set_chunks(201); })), "a chunk number out of bounds");
  EXPECT_EQ(ErrorOf(Forged([](Message& m) { m.set_sequence(~0ULL); })),
            "an epoch or sequence number out of bounds");
  EXPECT_EQ(ErrorOf(Forged([](Message& m) { m.add_failed(1); })), "columns of different length");
  EXPECT_EQ(ErrorOf(Forged([](Message& m) { m.set_slot(1, 0); })), "two shards in one slot");
  EXPECT_EQ(ErrorOf(Forged([](Message& m) { m.set_slot(1, 1000); })), "a slot out of bounds");
  EXPECT_EQ(ErrorOf(Forged([](Message& m) { m.set_slot(1, ~0U); })), "a slot out of bounds");
  EXPECT_EQ(ErrorOf(Forged([](Message& m) { m.set_size(3, ~0ULL); })), "a range out of bounds");
  EXPECT_EQ(ErrorOf(Forged([](Message& m) { m.set_state(0, 3); })), "an unknown state");
  EXPECT_EQ(ErrorOf(Forged([](Message& m) { m.set_failed(0, ~0ULL); })),
            "shard 2000 has counts that overflow");
  EXPECT_EQ(ErrorOf(Forged([](Message& m) { m.mutable_in_flight(0)->set_slot(4); })),
            "a cursor without a shard");
  EXPECT_EQ(ErrorOf(Forged([](Message& m) { m.mutable_in_flight(0)->set_slot(0); })),
            "a cursor in a shard that is done");
  EXPECT_EQ(ErrorOf(Forged([](Message& m) { *m.add_in_flight() = m.in_flight(0); })),
            "a cursor without a shard");
  EXPECT_EQ(ErrorOf(Forged([](Message& m) { m.mutable_in_flight(0)->set_cursor_offset(1001); })),
            "a cursor outside the range");
  EXPECT_EQ(ErrorOf(Forged([](Message& m) { m.set_codec(2), m.set_deflated("garbage"); })),
            "cannot be inflated");
  EXPECT_EQ(ErrorOf(Forged([](Message& m) {
              const std::string inner = Seal(m.SerializeAsString());
              m.set_codec(2);
              m.set_deflated(Deflate(Forged([&](Message& n) {
                n.set_codec(2);
                n.set_deflated(Deflate(inner));
              })));
            })),
            "codec 2 is not known to this version");  // deflated twice
}

// Whatever the bytes are, decoding ends, and what it accepts is sound.
void ExpectSoundOrInvalid(std::string_view data) {
  const auto decoded = DecodeChunk(data);
  if (!decoded.ok()) {
    RC_ASSERT(decoded.error().code == ErrorCode::kInvalid);
    return;
  }
  for (const Shard& s : decoded->shards) RC_ASSERT(Inconsistency(s).empty());
}

RC_GTEST_PROP(CodecProperty, SurvivesRandomBytes, (const std::string& bytes)) {
  ExpectSoundOrInvalid(bytes);
  ExpectSoundOrInvalid(Seal(bytes));
}

RC_GTEST_PROP(CodecProperty, NoticesDamage, ()) {
  std::string data = EncodeChunk(kHeader, Examples());
  const std::size_t bit = *rc::gen::inRange<std::size_t>(0, 8 * data.size());
  data[bit / 8] = static_cast<char>(data[bit / 8] ^ (1 << (bit % 8)));
  RC_ASSERT(!DecodeChunk(data).ok());
}

// As above, but behind a right checksum: what a hostile writer could do.
RC_GTEST_PROP(CodecProperty, SurvivesForgedContents, ()) {
  const google::protobuf::LogSilencer silence;  // of complaints about UTF-8
  const std::string sealed = EncodeChunk(kHeader, Examples());
  std::string message(Unseal(sealed).value());
  const int changes = *rc::gen::inRange(1, 6);
  for (int i = 0; i < changes; ++i) {
    const std::size_t at = *rc::gen::inRange<std::size_t>(0, message.size());
    switch (*rc::gen::inRange(0, 3)) {
      case 0:
        message[at] = *rc::gen::arbitrary<char>();
        break;
      case 1:
        message.insert(at, 1, *rc::gen::arbitrary<char>());
        break;
      default:
        message.erase(at, 1 + *rc::gen::inRange<std::size_t>(0, 8));
        break;
    }
    if (message.empty()) message = "x";
  }
  ExpectSoundOrInvalid(Seal(message));
}

ChunkFile ExamplesFile() {
  return {
      .extents =
          {{.first = -10,
            .records = 1010,
            .offset = 20,
            .bytes = 5000,
            .line = 2,
            .crc32c = 0xdeadbeef},
           {.first = 1000, .records = 1000, .offset = 5021, .bytes = 0, .line = 1013, .crc32c = 0},
           {.first = 2000, .records = 1000, .offset = 100, .bytes = 9, .line = 2013, .crc32c = 1},
           {.first = 3000,
            .records = 1000,
            .offset = 1u << 31,
            .bytes = 8,
            .line = 3013,
            .crc32c = 2}},
      .shape = rows::FileShape{.stored_bytes = 77, .columns = {"id", ""}}};
}

TEST(CodecTest, KeepsTheExtentsOfAFileAlsoAfterASplit) {
  const DecodedChunk back = DecodeChunk(EncodeChunk(kHeader, Examples(), ExamplesFile())).value();
  EXPECT_EQ(back.shards, Examples());
  EXPECT_EQ(back.file.extents, ExamplesFile().extents);
  EXPECT_EQ(back.file.shape, ExamplesFile().shape);
}

TEST(CodecTest, AChunkWithoutAFileHasNone) {
  const DecodedChunk back = DecodeChunk(EncodeChunk(kHeader, Examples())).value();
  EXPECT_TRUE(back.file.extents.empty());
  EXPECT_FALSE(back.file.shape.has_value());
}

TEST(CodecTest, RefusesExtentsThatAreNotThoseOfItsShards) {
  ChunkFile file = ExamplesFile();
  file.extents.pop_back();
  EXPECT_EQ(DecodeChunk(EncodeChunk(kHeader, Examples(), file)).error().message,
            "extents of other shards");
}

}  // namespace
}  // namespace backfill::ledger
