#include "operator/kube/client/exec_credentials.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "operator/kube/client/json_fields.h"
#include "operator/kube/client/tls_trust.h"

namespace backfill::kube {
namespace {

constexpr Duration kMaxRun = std::chrono::seconds(60);

Error Unauthenticated(std::string_view why) {
  return {ErrorCode::kUnauthenticated, std::string(why)};
}

// Two digits, or nothing.
std::optional<int> TwoDigits(std::string_view text, std::size_t at) {
  if (at + 2 > text.size() || text[at] < '0' || text[at] > '9' || text[at + 1] < '0' ||
      text[at + 1] > '9')
    return std::nullopt;
  return (text[at] - '0') * 10 + (text[at + 1] - '0');
}

class ExecCredentials final : public CredentialSource {
 public:
  ExecCredentials(ExecPlugin plugin, CredentialFiles files)
      : plugin_(std::move(plugin)), files_(MakeFileCredentials(std::move(files))) {}

  Result<Credentials> Load(Time deadline, std::stop_token stop) override {
    Credentials authority = TRY(files_->Load(deadline, stop));
    const std::string doing = fmt::format("exec {}", plugin_.command.program);
    const Time until = std::min(deadline, std::chrono::steady_clock::now() + kMaxRun);
    const Result<std::string> output = OutputOf(plugin_.command, until, stop);
    if (!output.ok()) {
      Error e = output.error().Annotate(doing);
      if (e.code == ErrorCode::kNotFound && !plugin_.install_hint.empty())
        e.message += fmt::format(" ({})", plugin_.install_hint);
      if (e.code != ErrorCode::kAborted && e.code != ErrorCode::kDeadline)
        e.code = ErrorCode::kUnauthenticated;
      return e;
    }
    Credentials c = TRY(ParseExecCredential(*output, plugin_.api_version).Annotate(doing));
    c.ca_pem = std::move(authority.ca_pem);
    TRY(CheckPem(c).Annotate(doing));
    return c;
  }

 private:
  const ExecPlugin plugin_;
  const std::unique_ptr<CredentialSource> files_;
};

}  // namespace

std::optional<WallTime> ParseRfc3339(std::string_view text) {
  constexpr std::size_t kSeconds = 19;  // 2026-11-23T03:28:59
  if (text.size() <= kSeconds) return std::nullopt;
  if (text.substr(0, 4) < "1900" || text.substr(0, 4) > "2200") return std::nullopt;
  std::string whole(text.substr(0, kSeconds));
  if (whole[10] == 't' || whole[10] == ' ') whole[10] = 'T';
  const std::optional<WallTime> base = ParseWallTime(whole + "Z");
  if (!base) return std::nullopt;
  std::size_t at = kSeconds;
  if (text[at] == '.') {  // a fraction is for machines that are faster than tokens
    ++at;
    const std::size_t digits = at;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
    if (at == digits) return std::nullopt;
  }
  const std::string_view zone = text.substr(at);
  if (zone == "Z" || zone == "z") return base;
  const auto hours = TwoDigits(zone, 1);
  const auto minutes = TwoDigits(zone, 4);
  if (zone.size() != 6 || zone[3] != ':' || (zone[0] != '+' && zone[0] != '-') || !hours ||
      !minutes || *hours > 23 || *minutes > 59)
    return std::nullopt;
  const auto offset = std::chrono::hours(*hours) + std::chrono::minutes(*minutes);
  return zone[0] == '+' ? *base - offset : *base + offset;
}

Result<Credentials> ParseExecCredential(std::string_view output, std::string_view api_version) {
  const Result<nlohmann::json> parsed = ParseJson(output);
  if (!parsed.ok()) return Unauthenticated("what it printed is " + parsed.error().message);
  std::string problem;
  const JsonFields fields(*parsed, "", problem);
  if (fields.String("kind") != "ExecCredential" || fields.String("apiVersion") != api_version)
    return Unauthenticated(fmt::format("what it printed is no ExecCredential of {}", api_version));
  const JsonFields status = fields.Object("status");
  const std::string token = status.String("token");
  const std::string expires = status.String("expirationTimestamp");
  Credentials c{.certificate_pem = status.String("clientCertificateData"),
                .key_pem = status.String("clientKeyData")};
  if (!problem.empty()) return Unauthenticated(problem);
  if (token.empty() && c.certificate_pem.empty())
    return Unauthenticated("it printed neither a token nor a certificate");
  if (!token.empty()) c.token = TRY(CheckToken(token, "status.token"));
  if (!expires.empty()) {
    c.expires = ParseRfc3339(expires);
    if (!c.expires)
      return Unauthenticated("status.expirationTimestamp: must be a time of RFC 3339");
  }
  return c;
}

std::unique_ptr<CredentialSource> MakeExecCredentials(ExecPlugin plugin, CredentialFiles files) {
  return std::make_unique<ExecCredentials>(std::move(plugin), std::move(files));
}

}  // namespace backfill::kube
