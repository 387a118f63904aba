#include "operator/kube/client/server_url.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace backfill::kube {
namespace {

constexpr std::size_t kMaxUrlBytes = 2048;

Error InvalidUrl(std::string_view why) {
  return {ErrorCode::kInvalid, fmt::format("the server's URL: {}", why)};
}

bool IsHostCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_';
}

bool IsPathCharacter(char c) {
  return IsHostCharacter(c) || c == '/' || c == '~' || c == '%' || c == ':' || c == '@';
}

}  // namespace

std::string ServerUrl::Origin() const {
  return fmt::format("{}://{}:{}", tls ? "https" : "http", host, port);
}

Result<ServerUrl> ParseServerUrl(std::string_view text) {
  if (text.size() > kMaxUrlBytes) return InvalidUrl("longer than 2048 bytes");
  ServerUrl url;
  if (text.starts_with("https://")) {
    text.remove_prefix(8);
  } else if (text.starts_with("http://")) {
    text.remove_prefix(7);
    url.tls = false;
    url.port = 80;
  } else {
    return InvalidUrl("must begin with https:// or http://");
  }
  const std::size_t slash = std::min(text.find('/'), text.size());
  std::string_view authority = text.substr(0, slash);
  std::string_view prefix = text.substr(slash);
  if (authority.starts_with('['))
    return InvalidUrl(
        "a name is needed in place of an IPv6 address, such as kubernetes.default.svc");
  if (authority.find('@') != std::string_view::npos) return InvalidUrl("a user has no place in it");
  if (const std::size_t colon = authority.find(':'); colon != std::string_view::npos) {
    const std::string_view port = authority.substr(colon + 1);
    const auto [end, ec] = std::from_chars(port.data(), port.data() + port.size(), url.port);
    if (ec != std::errc() || end != port.data() + port.size() || url.port < 1 || url.port > 65535)
      return InvalidUrl("the port must be a number from 1 to 65535");
    authority = authority.substr(0, colon);
  }
  if (authority.empty() || !std::all_of(authority.begin(), authority.end(), IsHostCharacter))
    return InvalidUrl("the host must be a name or an IPv4 address");
  while (prefix.ends_with('/')) prefix.remove_suffix(1);
  if (!std::all_of(prefix.begin(), prefix.end(), IsPathCharacter))
    return InvalidUrl("only a path may follow the host");
  url.host = authority;
  url.prefix = prefix;
  return url;
}

bool IsIpv4(std::string_view host) {
  in_addr address{};
  return ::inet_pton(AF_INET, std::string(host).c_str(), &address) == 1;
}

bool IsLoopback(std::string_view host) {
  return host == "localhost" || (host.starts_with("127.") && IsIpv4(host));
}

}  // namespace backfill::kube
