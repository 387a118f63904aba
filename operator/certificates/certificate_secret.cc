#include "operator/certificates/certificate_secret.h"

#include <openssl/evp.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "operator/kube/client/json_fields.h"

namespace backfill::certificates {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxBase64 = std::size_t{2} << 20;  // a Secret has 1 MiB

std::string ToBase64(const std::string& bytes) {
  std::string out(4 * ((bytes.size() + 2) / 3) + 1, '\0');  // EncodeBlock ends with a NUL
  const int n = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                reinterpret_cast<const unsigned char*>(bytes.data()),
                                static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(n));
  return out;
}

// Empty: it is none.
std::string FromBase64(const std::string& text) {
  if (text.empty() || text.size() % 4 != 0 || text.size() > kMaxBase64) return {};
  std::string out(3 * (text.size() / 4), '\0');
  const int n = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                reinterpret_cast<const unsigned char*>(text.data()),
                                static_cast<int>(text.size()));
  if (n < 0) return {};
  // DecodeBlock makes zeros of the padding.
  const auto padding = static_cast<std::size_t>(
      std::count(text.end() - std::min<std::ptrdiff_t>(2, std::ssize(text)), text.end(), '='));
  out.resize(static_cast<std::size_t>(n) - padding);
  return out;
}

Result<kube::ApiObjectPtr> DecodeSecret(const json& object) {
  auto secret = std::make_shared<CertificateSecret>();
  secret->meta = TRY(kube::DecodeMeta(object));
  // A value of a wrong type is no reason to see nothing of the rest.
  const auto text = [&object](const char* key) -> std::string {
    const auto data = object.find("data");
    if (data == object.end() || !data->is_object()) return {};
    const auto value = data->find(key);
    if (value == data->end() || !value->is_string()) return {};
    return FromBase64(value->get_ref<const std::string&>());
  };
  secret->set = {.current = {.certificate = text("ca.crt"), .key = text("ca.key")},
                 .next = {.certificate = text("next-ca.crt"), .key = text("next-ca.key")},
                 .old = text("old-ca.crt"),
                 .server = {.certificate = text("tls.crt"), .key = text("tls.key")}};
  secret->object = object.dump(-1, ' ', false, json::error_handler_t::replace);
  return kube::ApiObjectPtr(std::move(secret));
}

}  // namespace

const kube::Resource kCertificateSecrets{
    .type = {.group = "", .version = "v1", .plural = "secrets", .kind = "Secret"},
    .decode = &DecodeSecret};

std::string ObjectWith(const CertificateSecret& secret, const CertificateSet& set) {
  Result<json> parsed = kube::ParseJson(secret.object);
  json object = parsed.ok() && parsed->is_object() ? *std::move(parsed) : json::object();
  object["apiVersion"] = "v1";  // items of a list have none
  object["kind"] = "Secret";
  json& data = object["data"];
  if (!data.is_object()) data = json::object();
  const auto put = [&data](const char* key, const std::string& value) {
    if (value.empty()) {
      data.erase(key);
    } else {
      data[key] = ToBase64(value);
    }
  };
  put("ca.crt", set.current.certificate);
  put("ca.key", set.current.key);
  put("next-ca.crt", set.next.certificate);
  put("next-ca.key", set.next.key);
  put("old-ca.crt", set.old);
  put("tls.crt", set.server.certificate);
  put("tls.key", set.server.key);
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace backfill::certificates
