#include "operator/kube/client/http_headers.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace backfill::kube {
namespace {

constexpr std::size_t kMaxWarnings = 32;
constexpr std::size_t kMaxWarningBytes = 512;

std::optional<int> Number(std::string_view text) {
  int value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

// Sun, 06 Nov 1994 08:49:37 GMT
std::optional<WallTime> ParseHttpDate(std::string_view text) {
  constexpr std::size_t kLength = 29;
  constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  if (text.size() != kLength || text.substr(3, 2) != ", " || text.substr(25) != " GMT" ||
      text[19] != ':' || text[22] != ':')
    return std::nullopt;
  const auto month = std::find(kMonths.begin(), kMonths.end(), text.substr(8, 3));
  const auto day = Number(text.substr(5, 2));
  const auto year = Number(text.substr(12, 4));
  const auto hour = Number(text.substr(17, 2));
  const auto minute = Number(text.substr(20, 2));
  const auto second = Number(text.substr(23, 2));
  if (month == kMonths.end() || !day || !year || !hour || !minute || !second) return std::nullopt;
  const std::chrono::year_month_day date(
      std::chrono::year(std::clamp(*year, 1970, 2200)),  // a WallTime ends in 2262
      std::chrono::month(static_cast<unsigned>(month - kMonths.begin()) + 1),
      std::chrono::day(static_cast<unsigned>(*day)));
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  return std::chrono::sys_days(date) + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
         std::chrono::seconds(*second);
}

}  // namespace

std::optional<std::chrono::milliseconds> ParseRetryAfter(std::string_view value, WallTime now) {
  using std::chrono::milliseconds;
  if (!value.empty() &&
      std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    const auto seconds = Number(value);  // nothing: more than fit
    if (!seconds) return kMaxRetryAfter;
    return std::min<milliseconds>(kMaxRetryAfter, std::chrono::seconds(*seconds));
  }
  const auto date = ParseHttpDate(value);
  if (!date) return std::nullopt;
  if (*date <= now) return milliseconds(0);
  if (*date >= now + kMaxRetryAfter) return kMaxRetryAfter;
  return std::chrono::ceil<milliseconds>(*date - now);
}

std::vector<std::string> ParseWarnings(std::string_view value) {
  std::vector<std::string> out;
  std::size_t at = 0;
  // A code, an agent, a quoted text and perhaps a quoted date, up to the next comma outside quotes.
  while (at < value.size() && out.size() < kMaxWarnings) {
    std::string text;
    int quoted = 0;  // texts so far
    bool inside = false;
    for (; at < value.size(); ++at) {
      const char c = value[at];
      if (!inside && c == ',') break;
      if (c == '"') {
        inside = !inside;
        if (!inside) ++quoted;
      } else if (inside) {
        if (c == '\\' && at + 1 < value.size()) ++at;
        if (quoted == 0 && text.size() < kMaxWarningBytes) text += value[at];
      }
    }
    ++at;
    if (!text.empty()) out.push_back(std::move(text));
  }
  return out;
}

}  // namespace backfill::kube
