#include "operator/kube/client/credentials.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "operator/kube/client/tls_trust.h"

namespace backfill::kube {
namespace {

constexpr std::size_t kMaxTokenBytes = 64 << 10;
constexpr std::size_t kMaxPemBytes = 4 << 20;  // the system's bundle has 200 KiB

Error Unreadable(const std::string& path, std::string_view why) {
  return {ErrorCode::kUnauthenticated, fmt::format("{}: {}", path, why)};
}

Result<std::string> FileOr(const std::string& path, const std::string& text) {
  if (path.empty()) return text;
  std::string read = TRY(ReadSmallFile(path, kMaxPemBytes));
  if (read.empty()) return Unreadable(path, "is empty");
  return read;
}

class FileCredentials final : public CredentialSource {
 public:
  explicit FileCredentials(CredentialFiles files) : files_(std::move(files)) {}

  Result<Credentials> Load(Time, std::stop_token) override {
    Credentials c;
    c.token = TRY(FileOr(files_.token_file, files_.token));
    if (!c.token.empty() || !files_.token_file.empty())
      c.token =
          TRY(CheckToken(c.token, files_.token_file.empty() ? "the token" : files_.token_file));
    c.ca_pem = TRY(FileOr(files_.ca_file, files_.ca_pem));
    c.certificate_pem = TRY(FileOr(files_.certificate_file, files_.certificate_pem));
    c.key_pem = TRY(FileOr(files_.key_file, files_.key_pem));
    TRY(CheckPem(c).Annotate(Files()));
    return c;
  }

 private:
  [[nodiscard]] std::string Files() const {
    std::string names;
    for (const std::string* name : {&files_.ca_file, &files_.certificate_file, &files_.key_file}) {
      if (!name->empty()) names += (names.empty() ? "" : ", ") + *name;
    }
    return names.empty() ? "certificates" : names;
  }

  const CredentialFiles files_;
};

}  // namespace

std::unique_ptr<CredentialSource> MakeFileCredentials(CredentialFiles files) {
  return std::make_unique<FileCredentials>(std::move(files));
}

Result<std::string> ReadSmallFile(const std::string& path, std::size_t max_bytes) {
  // Not to wait for the other end of a pipe.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  const auto problem = [&] { return Unreadable(path, std::generic_category().message(errno)); };
  if (fd < 0) return problem();
  struct Closer {
    int fd;
    ~Closer() { ::close(fd); }
  } closer{fd};
  struct stat about{};
  if (::fstat(fd, &about) != 0) return problem();
  if (!S_ISREG(about.st_mode)) return Unreadable(path, "is not a regular file");
  std::string text;
  char buffer[16 << 10];
  while (true) {
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return problem();
    if (n == 0) return text;
    text.append(buffer, static_cast<std::size_t>(n));
    if (text.size() > max_bytes)
      return Unreadable(path, fmt::format("is larger than {} bytes", max_bytes));
  }
}

Result<std::string> CheckToken(std::string_view token, std::string_view source) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const std::size_t first = token.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return Unreadable(std::string(source), "has no token");
  token = token.substr(first, token.find_last_not_of(kBlanks) - first + 1);
  if (token.size() > kMaxTokenBytes)
    return Unreadable(std::string(source), "has a token of more than 64 KiB");
  if (!std::all_of(token.begin(), token.end(), [](char c) { return c > 0x20 && c < 0x7f; }))
    return Unreadable(std::string(source), "has a token with characters that no header can carry");
  return std::string(token);
}

}  // namespace backfill::kube
