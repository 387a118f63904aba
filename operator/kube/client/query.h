#pragma once

#include <string>
#include <string_view>

namespace backfill::kube {

// All but RFC 3986's unreserved characters as %XX. Pure.
void AppendPercentEncoded(std::string& out, std::string_view text);

// The query of a URL: Query().Add("limit", "500").After("/api/v1/pods") is /api/v1/pods?limit=500.
class Query {
 public:
  Query& Add(std::string_view key, std::string_view value);
  // Nothing for an empty value.
  Query& AddUnlessEmpty(std::string_view key, std::string_view value) {
    return value.empty() ? *this : Add(key, value);
  }
  [[nodiscard]] std::string After(std::string_view path) const {
    return std::string(path) + (text_.empty() ? "" : "?") + text_;
  }

 private:
  std::string text_;
};

}  // namespace backfill::kube
