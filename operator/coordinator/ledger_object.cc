#include "operator/coordinator/ledger_object.h"

#include <openssl/evp.h>

#include <nlohmann/json.hpp>
#include <optional>

namespace backfill::coordinator {
namespace {

// Far above what the store takes (1.5 MiB), far below what could hurt.
constexpr std::size_t kMaxContent = 8u << 20;

std::string ToBase64(const std::string& bytes) {
  std::string out(4 * ((bytes.size() + 2) / 3) + 1, '\0');  // EncodeBlock ends with a NUL
  const int n = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                reinterpret_cast<const unsigned char*>(bytes.data()),
                                static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(n));
  return out;
}

std::optional<std::string> FromBase64(const std::string& text) {
  if (text.size() % 4 != 0) return std::nullopt;
  if (text.empty()) return std::string();
  // DecodeBlock skips blanks and takes '=' anywhere, so what it is given is checked first.
  std::size_t padding = 0;
  while (padding < 2 && text[text.size() - 1 - padding] == '=') ++padding;
  for (std::size_t i = 0; i < text.size() - padding; ++i) {
    const char c = text[i];
    const bool known = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                       c == '+' || c == '/';
    if (!known) return std::nullopt;
  }
  std::string out(3 * (text.size() / 4), '\0');
  const int n = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                reinterpret_cast<const unsigned char*>(text.data()),
                                static_cast<int>(text.size()));
  if (n < 0) return std::nullopt;
  out.resize(static_cast<std::size_t>(n) - padding);
  return out;
}

Error Damaged(const std::string& what) {
  return {ErrorCode::kInternal, "ledger object damaged: " + what};
}

}  // namespace

std::string EncodeContent(const LedgerContent& content) {
  // The writer is hex and the data base64: nothing needs an escape.
  return "{\"epoch\":" + std::to_string(content.epoch.value) +
         ",\"seq\":" + std::to_string(content.sequence) +
         ",\"chunks\":" + std::to_string(content.chunks) + ",\"writer\":\"" + content.writer +
         "\",\"data\":\"" + ToBase64(content.data) + "\"}";
}

Result<LedgerContent> DecodeContent(std::string_view json) {
  using Json = nlohmann::json;
  if (json.size() > kMaxContent) return Damaged("too large");
  // Destroying a deep tree recurses, so nothing deep is ever built.
  bool deep = false;
  const auto shallow = [&deep](int depth, Json::parse_event_t, Json&) {
    if (depth > 2) deep = true;
    return !deep;
  };
  const Json tree = Json::parse(json, shallow, /*allow_exceptions=*/false);
  if (deep || tree.is_discarded() || !tree.is_object()) return Damaged("not a JSON object of ours");
  const auto number = [&tree](const char* name) -> std::optional<std::uint64_t> {
    const auto it = tree.find(name);
    if (it == tree.end() || !it->is_number_unsigned()) return std::nullopt;
    return it->get<std::uint64_t>();
  };
  const auto text = [&tree](const char* name) -> const std::string* {
    const auto it = tree.find(name);
    return it == tree.end() ? nullptr : it->get_ptr<const std::string*>();
  };
  const auto epoch = number("epoch");
  const auto sequence = number("seq");
  const auto chunks = number("chunks");
  const std::string* writer = text("writer");
  const std::string* data = text("data");
  if (!epoch || !sequence || !chunks || writer == nullptr || data == nullptr) {
    return Damaged("epoch, seq, chunks, writer or data is missing or of another type");
  }
  if (*chunks > 1'000'000) return Damaged("more chunks than a plan can have");
  std::optional<std::string> bytes = FromBase64(*data);
  if (!bytes) return Damaged("data is not base64");
  return LedgerContent{.epoch = Epoch{*epoch},
                       .sequence = *sequence,
                       .chunks = static_cast<int>(*chunks),
                       .writer = *writer,
                       .data = *std::move(bytes)};
}

}  // namespace backfill::coordinator
