#include "operator/observe/mounted_credentials.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/stat.h>

#include <algorithm>
#include <sstream>
#include <utility>

#include "operator/kube/client/server_url.h"

namespace backfill::observe {
namespace {

constexpr std::size_t kMaxWordBytes = 4096;
constexpr std::size_t kMaxListBytes = 64 << 10;

// Of what is no URL: what no URL is.
std::string OriginOf(const std::string& url) {
  const auto parsed = kube::ParseServerUrl(url);
  return parsed.ok() ? parsed->Origin() : "?";
}

bool Exists(const std::string& path) {
  struct stat about{};
  return ::stat(path.c_str(), &about) == 0;
}

Error Unusable(const std::string& path, std::string_view why) {
  return {ErrorCode::kUnauthenticated, fmt::format("{}: {}", path, why)};
}

// A user or a password: what stands in the file, without the line break that editors add.
Result<std::string> ReadWord(const std::string& path) {
  std::string word = TRY(kube::ReadSmallFile(path, kMaxWordBytes));
  while (word.ends_with('\n') || word.ends_with('\r')) word.pop_back();
  if (std::ranges::any_of(word, [](unsigned char c) { return c < 0x20 || c == 0x7f; }))
    return Unusable(path, "has a control character");
  return word;
}

std::string Base64(const std::string& text) {
  std::string out(4 * ((text.size() + 2) / 3) + 1, '\0');
  const int n = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),  // NOLINT: bytes
                                reinterpret_cast<const unsigned char*>(text.data()),  // NOLINT
                                static_cast<int>(text.size()));
  out.resize(static_cast<std::size_t>(n));
  return out;
}

class MountedCredentials final : public kube::CredentialSource {
 public:
  MountedCredentials(std::string folder, const std::string& server)
      : folder_(std::move(folder)), origin_(OriginOf(server)) {}

  Result<kube::Credentials> Load(Time deadline, std::stop_token stop) override {
    if (!Exists(folder_)) return Unusable(folder_, "there are no such credentials");
    TRY(CheckServer());
    kube::Credentials c = TRY(kube::MakeFileCredentials({.token_file = IfThere("token"),
                                                         .ca_file = IfThere("ca.crt"),
                                                         .certificate_file = IfThere("tls.crt"),
                                                         .key_file = IfThere("tls.key")})
                                  ->Load(deadline, std::move(stop)));
    const std::string user = IfThere("username"), password = IfThere("password");
    if (user.empty() && password.empty()) return c;
    if (user.empty() || password.empty())
      return Unusable(folder_, "has one of username and password, and needs both or none");
    if (!c.token.empty())
      return Unusable(folder_, "has a token and a password, of which one is used");
    const std::string name = TRY(ReadWord(user));
    if (name.find(':') != std::string::npos) return Unusable(user, "has a colon");
    c.token = Base64(name + ":" + TRY(ReadWord(password)));
    c.scheme = "Basic";
    return c;
  }

 private:
  [[nodiscard]] std::string IfThere(std::string_view file) const {
    const std::string path = fmt::format("{}/{}", folder_, file);
    return Exists(path) ? path : "";
  }

  Status CheckServer() const {
    const std::string path = folder_ + "/servers";
    const std::string list = TRY(kube::ReadSmallFile(path, kMaxListBytes));
    std::istringstream words(list);
    for (std::string word; words >> word;)
      if (OriginOf(word) == origin_) return Ok{};
    return Unusable(path, fmt::format("does not name {}", origin_));
  }

  const std::string folder_;
  const std::string origin_;
};

class NoCredentials final : public kube::CredentialSource {
 public:
  Result<kube::Credentials> Load(Time, std::stop_token) override { return kube::Credentials{}; }
};

}  // namespace

std::unique_ptr<kube::CredentialSource> MakeMountedCredentials(std::string folder,
                                                               const std::string& server) {
  return std::make_unique<MountedCredentials>(std::move(folder), server);
}
std::unique_ptr<kube::CredentialSource> MakeNoCredentials() {
  return std::make_unique<NoCredentials>();
}

}  // namespace backfill::observe
