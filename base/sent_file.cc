#include "base/sent_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <string_view>

namespace backfill {
namespace {

// 32 bytes at a multiple of 32 never cross a page, so a write is there or it is not.
struct Slot {
  std::int32_t shard = 0;
  std::uint32_t attempt = 0;
  std::uint64_t records = 0;
  std::uint64_t boot = 0;  // of the header
  std::uint64_t sum = 0;   // 0: free
};
static_assert(sizeof(Slot) == 32);
constexpr std::uint32_t kHeaderMark = 0xBF5E0001;  // stands where a lease has its attempt
constexpr std::size_t kSlots = SentFile::kLeases + 1;

std::uint64_t Hash(std::string_view bytes) {  // FNV-1a
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : bytes) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3ULL;
  }
  return hash == 0 ? 1 : hash;
}

std::uint64_t SumOf(const Slot& slot) {
  std::array<char, sizeof(Slot)> bytes{};
  std::memcpy(bytes.data(), &slot, sizeof slot);
  return Hash({bytes.data(), sizeof(Slot) - sizeof slot.sum});
}

bool Write(int fd, std::size_t index, const Slot& slot) {
  const auto at = static_cast<off_t>(index * sizeof(Slot));
  ssize_t written = 0;
  do {
    written = pwrite(fd, &slot, sizeof slot, at);
  } while (written < 0 && errno == EINTR);
  return written == static_cast<ssize_t>(sizeof slot);
}

// Of the running system; 0: not known.
std::uint64_t Boot() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  return std::getline(file, id) && !id.empty() ? Hash(id) : 0;
}

Error Failed(const char* doing, const std::string& path, int error) {
  return {error == ENOENT ? ErrorCode::kNotFound : ErrorCode::kUnavailable,
          std::string(doing) + " " + path + ": error " + std::to_string(error)};
}

}  // namespace

Result<int> SentFile::Create(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return Failed("creating", path, errno);
  // So that no later write fails for want of space.
  const int full = posix_fallocate(fd, 0, static_cast<off_t>(kSlots * sizeof(Slot)));
  Slot header{.attempt = kHeaderMark, .boot = Boot()};
  header.sum = SumOf(header);
  if (full == 0 && Write(fd, 0, header)) return fd;
  const Error error = Failed("writing", path, full != 0 ? full : errno);
  close(fd);
  unlink(path.c_str());
  return error;
}

SentFile::SentFile(int fd) : fd_(fd) {
  for (std::size_t i = kLeases; i > 0; --i) free_.push_back(i);
}

bool SentFile::Raise(ShardId shard, Attempt attempt, std::uint64_t records) {
  if (void_) return true;
  auto found = notes_.find({shard, attempt});
  if (found == notes_.end()) {
    if (free_.empty()) {
      void_ = Write(fd_, 0, {});
      return void_;
    }
    found = notes_.emplace(std::pair{shard, attempt}, Note{.slot = free_.back()}).first;
    free_.pop_back();
  }
  Note& note = found->second;
  if (records <= note.records) return true;
  Slot slot{.shard = shard.value, .attempt = attempt.value, .records = records};
  slot.sum = SumOf(slot);
  if (!Write(fd_, note.slot, slot)) return false;
  note.records = records;
  return true;
}

void SentFile::Forget(ShardId shard, Attempt attempt) {
  const auto found = notes_.find({shard, attempt});
  if (found == notes_.end() || !Write(fd_, found->second.slot, {})) return;
  free_.push_back(found->second.slot);
  notes_.erase(found);
}

Result<SentBounds> ReadSentFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Failed("opening", path, errno);
  std::array<Slot, kSlots> slots;
  const ssize_t got = pread(fd, slots.data(), sizeof slots, 0);
  const int error = errno;
  close(fd);
  if (got < 0) return Failed("reading", path, error);
  const Slot& header = slots[0];
  const std::uint64_t boot = Boot();
  if (got != static_cast<ssize_t>(sizeof slots) || header.attempt != kHeaderMark ||
      header.sum != SumOf(header) || boot == 0 || header.boot != boot) {
    return Error{ErrorCode::kInvalid, path + " does not say what was sent"};
  }
  SentBounds bounds;
  for (std::size_t i = 1; i < slots.size(); ++i) {
    const Slot& slot = slots[i];
    if (slot.sum == 0 && slot.attempt == 0) continue;
    if (slot.sum != SumOf(slot)) return Error{ErrorCode::kInvalid, path + " is damaged"};
    bounds[{{slot.shard}, {slot.attempt}}] = slot.records;
  }
  return bounds;
}

}  // namespace backfill
