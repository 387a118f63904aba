#include "worker/link/dial.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <system_error>

namespace backfill::worker {
namespace {

constexpr std::size_t kMaxToken = std::size_t{16} << 10;
constexpr std::size_t kMaxAuthorities = std::size_t{1} << 20;

// A projected file is replaced as a whole, so that one reading sees one version.
Result<std::string> ReadFile(const std::string& path, std::size_t at_most) {
  const auto failed = [&](const std::string& why) {
    return Error{ErrorCode::kUnavailable, "reading " + path + ": " + why};
  };
  errno = 0;
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "re"),
                                                             &std::fclose);
  if (!file) return failed(std::generic_category().message(errno));
  std::string text(at_most + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (std::ferror(file.get()) != 0) return failed(std::generic_category().message(errno));
  if (text.size() > at_most) return failed("it is too large");
  return text;
}

}  // namespace

bool StaysOnThisMachine(std::string_view address) {
  if (address.starts_with("unix:") || address.starts_with("unix-abstract:")) return true;
  for (const std::string_view scheme : {"dns:///", "dns:", "ipv4:", "ipv6:"}) {
    if (!address.starts_with(scheme)) continue;
    address.remove_prefix(scheme.size());
    break;
  }
  // Several addresses: the others could be anywhere.
  if (address.find(',') != std::string_view::npos) return false;
  const auto colon = address.rfind(':');
  std::string host(address.substr(0, colon));
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
    in6_addr v6{};
    return inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
  }
  in_addr v4{};
  return inet_pton(AF_INET, host.c_str(), &v4) == 1 && (ntohl(v4.s_addr) >> 24) == 127;
}

Result<std::string> ReadToken(const DialOptions& options) {
  if (options.token_file.empty()) return options.token;
  std::string token = TRY(ReadFile(options.token_file, kMaxToken));
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r' || token.back() == ' '))
    token.pop_back();
  // It becomes a header: what could not be one would end the process within gRPC.
  const bool fits =
      !token.empty() && std::ranges::all_of(token, [](char c) { return c > ' ' && c < '\x7f'; });
  if (!fits) return Error{ErrorCode::kUnavailable, options.token_file + " has no token"};
  return token;
}

Result<std::string> ReadAuthorities(const DialOptions& options) {
  if (options.ca_file.empty()) return std::string();
  Result<std::string> pem = ReadFile(options.ca_file, kMaxAuthorities);
  if (pem.ok() && pem->find("-----BEGIN CERTIFICATE-----") == std::string::npos)
    return Error{ErrorCode::kUnavailable, options.ca_file + " has no certificate"};
  return pem;
}

}  // namespace backfill::worker
