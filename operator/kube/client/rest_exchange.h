#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/result.h"
#include "operator/kube/client/socket_watch.h"

namespace backfill::kube {

// The head of a response, as far as it is used.
struct ResponseHead {
  int status = 0;
  std::string content_length;  // as it came; empty: none
  std::string retry_after;
  std::string warning;
};

// One request under way, between the thread that made it and the library's threads. Shared by both:
// the one may give up and leave, while a resolver still holds the other. Thread-safe.
class RestExchange {
 public:
  // A library that hands over more than this at once, or lets so much pile up, is wrong or misled.
  explicit RestExchange(std::size_t max_piece_bytes) : max_piece_(max_piece_bytes) {}

  // The library's side. ---------------------------------------------------------------------
  void OnHead(ResponseHead head);
  // False: it is not wanted any more, or too much. `go_on` is called when there is room for more,
  // at once or on the thread that takes it; always called if this returns true.
  bool OnBytes(const std::uint8_t* data, std::size_t size, std::function<void()> go_on);
  void OnDone(std::optional<Error> error);
  // The library has let go of the request, and its connection waits for another.
  void OnReleased();
  // The connection by which the request has gone out.
  void OnSent(std::unique_ptr<SocketWatch> socket);

  // The caller's side. ----------------------------------------------------------------------
  struct News {
    std::optional<ResponseHead> head;  // once
    std::string bytes;                 // after the head
    bool done = false;                 // with all bytes taken
    std::optional<Error> error;        // then
    bool too_much = false;
  };
  // Whatever has come by then, perhaps nothing.
  News Wait(Time until, const std::stop_token& stop);
  // No more is wanted. The library is told by other means.
  void Abandon();
  // How much has been received that has not been handed over; 0 if that is not known.
  std::uint64_t Withheld();
  // For who uses the connection again, if that is possible by then.
  std::unique_ptr<SocketWatch> TakeSocket(Time until);

 private:
  const std::size_t max_piece_;
  Mutex mu_;
  std::condition_variable_any news_;
  std::optional<ResponseHead> head_ GUARDED_BY(mu_);
  bool head_given_ GUARDED_BY(mu_) = false;
  std::string bytes_ GUARDED_BY(mu_);
  std::uint64_t handed_over_ GUARDED_BY(mu_) = 0;
  std::function<void()> go_on_ GUARDED_BY(mu_);
  bool abandoned_ GUARDED_BY(mu_) = false;
  bool too_much_ GUARDED_BY(mu_) = false;
  bool done_ GUARDED_BY(mu_) = false;
  bool released_ GUARDED_BY(mu_) = false;
  std::optional<Error> error_ GUARDED_BY(mu_);
  std::unique_ptr<SocketWatch> socket_ GUARDED_BY(mu_);
};

}  // namespace backfill::kube
