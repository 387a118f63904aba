#include "operator/observe/json_pointer.h"

#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

namespace backfill::observe {
namespace {

constexpr std::size_t kMaxPointerBytes = 1024;
constexpr std::size_t kMaxSteps = 32;

Error InvalidPointer(std::string_view why) {
  return {ErrorCode::kInvalid, "pointer: " + std::string(why)};
}

const nlohmann::json* Step(const nlohmann::json& at, const std::string& token) {
  if (at.is_object()) {
    const auto it = at.find(token);
    return it == at.end() ? nullptr : &*it;
  }
  if (!at.is_array()) return nullptr;
  // Digits, without a zero before others (section 4); "-" is the element after the last.
  std::size_t index = 0;
  const auto [end, ec] = std::from_chars(token.data(), token.data() + token.size(), index);
  if (ec != std::errc() || end != token.data() + token.size() ||
      (token.size() > 1 && token.front() == '0') || index >= at.size()) {
    return nullptr;
  }
  return &at[index];
}

}  // namespace

Result<std::vector<std::string>> ParseJsonPointer(std::string_view text) {
  std::vector<std::string> tokens;
  if (text.size() > kMaxPointerBytes) return InvalidPointer("longer than 1024 bytes");
  if (text.empty()) return tokens;
  if (!text.starts_with('/'))
    return InvalidPointer("must begin with /, such as /status/lag_seconds");
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '/') {
      if (tokens.size() == kMaxSteps) return InvalidPointer("has more than 32 steps");
      tokens.emplace_back();
    } else if (text[i] != '~') {
      tokens.back() += text[i];
    } else {
      const char next = i + 1 < text.size() ? text[++i] : '\0';
      if (next != '0' && next != '1') return InvalidPointer("~ must be written as ~0, and / as ~1");
      tokens.back() += next == '0' ? '~' : '/';
    }
  }
  return tokens;
}

const nlohmann::json* Find(const nlohmann::json& document,
                           const std::vector<std::string>& pointer) {
  const nlohmann::json* at = &document;
  for (const std::string& token : pointer) {
    at = Step(*at, token);
    if (at == nullptr) return nullptr;
  }
  return at;
}

}  // namespace backfill::observe
