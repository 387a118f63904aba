#pragma once

#include <string>
#include <string_view>

namespace backfill::worker {

// Everything but RFC 3986's unreserved characters as %XX.
void AppendPercentEncoded(std::string& out, std::string_view value);
// As the inside of a JSON string, without the quotes.
void AppendJsonEscaped(std::string& out, std::string_view value);
// With the quotes.
void AppendJsonString(std::string& out, std::string_view value);
// No CR, LF or NUL.
bool IsHeaderSafe(std::string_view value);
// A method or header name as in RFC 9110.
bool IsHttpToken(std::string_view name);
// At most `max_bytes`, valid UTF-8: what is not becomes '?'.
std::string CutToUtf8(std::string_view text, std::size_t max_bytes);

}  // namespace backfill::worker
