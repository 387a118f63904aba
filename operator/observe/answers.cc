#include "operator/observe/answers.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "base/utf8.h"

namespace backfill::observe {
namespace {

using throttle::Answer;

Reply Without(Answer answer, Time now, std::string_view detail, bool provider_failed) {
  return {.observation = {.answer = answer, .value = 0, .time = now, .detail = Excerpt(detail)},
          .provider_failed = provider_failed};
}

bool IsControl(char32_t code) { return code < 0x20 || (code >= 0x7f && code < 0xa0); }

}  // namespace

std::string Excerpt(std::string_view text, std::size_t bytes) {
  std::string out;
  bool blank = false;
  while (!text.empty() && out.size() <= bytes) {
    const Character c = FirstCharacter(text);
    const std::string_view piece = text.substr(0, c.bytes);
    text.remove_prefix(piece.size());
    if (c.code == U' ' || c.code == U'\n' || c.code == U'\t' || c.code == U'\r') {
      blank = !out.empty();
      continue;
    }
    if (std::exchange(blank, false)) out += ' ';
    if (c.code == kNoCharacter || IsControl(c.code)) {
      out += '?';
    } else {
      out += piece;
    }
  }
  if (out.size() <= bytes && text.empty()) return out;
  constexpr std::string_view kCut = "...";
  out = CutToBytes(out, bytes > kCut.size() ? bytes - kCut.size() : 0);
  return out.append(kCut.substr(0, bytes - out.size()));
}

Reply ValueAt(double value, Time measured, std::string_view warning) {
  if (!std::isfinite(value)) return NotANumber(measured, "the value is not finite");
  return {
      .observation = {
          .answer = Answer::kValue, .value = value, .time = measured, .detail = Excerpt(warning)}};
}

Reply NoData(Time now, std::string_view detail) {
  return Without(Answer::kNoData, now, detail, false);
}
Reply NotANumber(Time now, std::string_view detail) {
  return Without(Answer::kNotANumber, now, detail, false);
}
Reply BadQuestion(Time now, std::string_view detail) {
  return Without(Answer::kError, now, detail, false);
}
Reply ProviderFailed(Time now, std::string_view detail) {
  return Without(Answer::kError, now, detail, true);
}
Reply NotReached(Time now, std::string_view server, const Error& error) {
  const std::string detail = fmt::format("{}: {}", server, error.message);
  // The reply was there, and was too large or of no use.
  if (error.code == ErrorCode::kInvalid) return BadQuestion(now, detail);
  // That we were told to stop says nothing about who was asked.
  if (error.code == ErrorCode::kAborted) return BadQuestion(now, detail);
  return ProviderFailed(now, detail);
}

}  // namespace backfill::observe
