#pragma once

#include <chrono>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace backfill {

// What a caller can do about an error; the message says what happened.
enum class ErrorCode {
  kNotFound,         // the thing does not exist
  kConflict,         // someone else changed or created it: read again, decide again
  kExpired,          // a version or token is too old: list again
  kInvalid,          // the input is wrong: repeating is useless
  kPermission,       // allowed for others, not for us
  kUnauthenticated,  // we could not show who we are
  kUnavailable,      // try again later
  kDeadline,         // it took too long; whether it happened is unknown
  kAborted,          // stopped on request
  kInternal,         // a fault of ours or of a library
};

std::string_view ToString(ErrorCode code);

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;
  std::optional<std::chrono::milliseconds> retry_after = std::nullopt;

  // Prepends what was being done, so that an error reads as a path from the outside in.
  [[nodiscard]] Error Annotate(std::string_view doing) const {
    Error e = *this;
    e.message = std::string(doing) + ": " + message;
    return e;
  }
};

// A value or an Error. Reading the wrong side ends the process: it is a bug of the caller. Where a
// caller has more to tell apart than ErrorCode does, E is a type of its own with an Annotate().
template <typename T, typename E = Error>
class [[nodiscard]] Result {
 public:
  Result(T value)
      : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit by design
  Result(E error)
      : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit by design

  [[nodiscard]] bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  [[nodiscard]] T& value() & { return Checked<0>(state_); }
  [[nodiscard]] const T& value() const& { return Checked<0>(state_); }
  [[nodiscard]] T&& value() && { return std::move(Checked<0>(state_)); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }

  [[nodiscard]] const E& error() const { return Checked<1>(state_); }

  Result Annotate(std::string_view doing) && {
    if (ok()) return std::move(*this);
    return error().Annotate(doing);
  }

 private:
  template <std::size_t I, typename V>
  static auto& Checked(V& state) {
    if (state.index() != I) std::abort();
    return *std::get_if<I>(&state);
  }
  std::variant<T, E> state_;
};

// Success without a value.
struct Ok {};
using Status = Result<Ok>;

// Evaluates to the value, or returns the error from the enclosing function.
#define TRY(expr)                                      \
  ({                                                   \
    auto try_result_ = (expr);                         \
    if (!try_result_.ok()) return try_result_.error(); \
    std::move(try_result_).value();                    \
  })

}  // namespace backfill
