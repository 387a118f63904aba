#include "base/secret_headers.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/log.h"

namespace backfill {
namespace {

// Of a value with the end of its line, and one byte more to see that there is too much.
constexpr std::size_t kMaxText = SecretHeaders::kMaxBytes + 2 + 1;

Error Unusable(std::string why) { return {ErrorCode::kInvalid, std::move(why)}; }

Error SystemError(int error) {
  std::array<char, 128> text{};
  return Unusable(strerror_r(error, text.data(), text.size()));
}

// Only as much as is needed to see that it is too long: the path may name anything.
Result<std::string> ReadText(const std::string& path) {
  // O_NONBLOCK: or a pipe that nobody writes to would stop the worker.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return SystemError(errno);
  std::string text(kMaxText, '\0');
  std::size_t size = 0;
  ssize_t n = 1;
  while (size < text.size() && n > 0) {
    n = ::read(fd, text.data() + size, text.size() - size);
    if (n > 0) size += static_cast<std::size_t>(n);
  }
  const int error = errno;
  ::close(fd);
  if (n < 0) return SystemError(error);
  text.resize(size);
  return text;
}

std::string Base64(const std::string& text) {
  std::string out((text.size() + 2) / 3 * 4 + 1, '\0');
  const auto* in = reinterpret_cast<const unsigned char*>(text.data());  // NOLINT: OpenSSL's bytes
  auto* bytes = reinterpret_cast<unsigned char*>(out.data());            // NOLINT
  const int n = EVP_EncodeBlock(bytes, in, static_cast<int>(text.size()));
  out.resize(static_cast<std::size_t>(n));
  return out;
}

}  // namespace

Result<SecretHeaders> SecretHeaders::Load(const std::vector<SecretHeader>& headers,
                                          std::string place) {
  SecretHeaders loaded;
  loaded.place_ = std::move(place);
  for (std::size_t i = 0; i < headers.size(); ++i) {
    Entry& entry = loaded.entries_.emplace_back();
    entry.header = headers[i];
    TRY(Read(entry).Annotate(loaded.PlaceOf(i)));
  }
  loaded.Render();
  return loaded;
}

Status SecretHeaders::Read(Entry& entry) {
  const SecretHeader& header = entry.header;
  std::string secret;
  std::string where;
  if (!header.file.empty()) {
    where = "file: " + header.file;
    entry.stamp = StampOf(header.file);  // before it is read: a later change shows
    secret = TRY(ReadText(header.file).Annotate(where));
  } else {
    where = "env: " + header.env;
    const char* value = std::getenv(header.env.c_str());  // NOLINT: nobody sets variables
    if (value == nullptr) return Unusable(where + ": is not set");
    secret = value;
  }
  if (secret.ends_with('\n')) secret.pop_back();
  if (secret.ends_with('\r')) secret.pop_back();
  if (secret.empty()) return Unusable(where + ": is empty");
  if (secret.size() > kMaxBytes) return Unusable(where + ": is longer than 8 KiB");
  if (secret.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos)
    return Unusable(where + ": holds a line break or NUL");
  entry.value = header.base64 ? Base64(secret) : secret;
  entry.secret = std::move(secret);
  return Ok{};
}

std::string SecretHeaders::PlaceOf(std::size_t index) const {
  return place_ + "[" + std::to_string(index) + "]";
}

void SecretHeaders::Refresh() {
  bool changed = false;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    Entry& entry = entries_[i];
    if (entry.header.file.empty() || StampOf(entry.header.file) == entry.stamp) continue;
    const Status read = Read(entry);
    changed = changed || read.ok();
    if (!read.ok()) {
      Log(LogLevel::kWarning, "a changed secret cannot be used, the old one serves on",
          {{"error", read.error().Annotate(PlaceOf(i)).message}});
    }
  }
  if (changed) Render();
}

void SecretHeaders::Render() {
  lines_.clear();
  for (const Entry& e : entries_)
    lines_ += e.header.name + ": " + e.header.prefix + e.value + "\r\n";
}

std::string SecretHeaders::Redact(std::string text) const {
  for (const Entry& entry : entries_) {
    for (const std::string* secret : {&entry.value, &entry.secret}) {
      constexpr std::string_view kInstead = "(left out)";
      for (std::size_t at = text.find(*secret); at != std::string::npos;
           at = text.find(*secret, at + kInstead.size())) {
        text.replace(at, secret->size(), kInstead);
      }
    }
  }
  return text;
}

}  // namespace backfill
