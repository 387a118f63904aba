#include "operator/kube/client/query.h"

namespace backfill::kube {
namespace {

bool IsUnreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.' || c == '~';
}

}  // namespace

void AppendPercentEncoded(std::string& out, std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  for (const char c : text) {
    if (IsUnreserved(c)) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
}

Query& Query::Add(std::string_view key, std::string_view value) {
  if (!text_.empty()) text_ += '&';
  AppendPercentEncoded(text_, key);
  text_ += '=';
  AppendPercentEncoded(text_, value);
  return *this;
}

}  // namespace backfill::kube
