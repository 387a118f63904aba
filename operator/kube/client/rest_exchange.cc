#include "operator/kube/client/rest_exchange.h"

#include <utility>

namespace backfill::kube {
namespace {

// Beyond this the library is told to wait until what there is has been taken (R33).
constexpr std::size_t kEnough = 256 << 10;

}  // namespace

void RestExchange::OnHead(ResponseHead head) {
  MutexLock l(mu_);
  head_ = std::move(head);
  news_.notify_all();
}

bool RestExchange::OnBytes(const std::uint8_t* data, std::size_t size,
                           std::function<void()> go_on) {
  {
    MutexLock l(mu_);
    if (abandoned_) return false;
    // cpprestsdk takes a chunk of "-2" bytes for one of 2^64 - 2.
    if (size > max_piece_) {
      too_much_ = true;
      news_.notify_all();
      return false;
    }
    bytes_.append(data, data + size);
    handed_over_ += size;
    news_.notify_all();
    if (bytes_.size() > kEnough) {
      go_on_ = std::move(go_on);
      return true;
    }
  }
  go_on();
  return true;
}

void RestExchange::OnDone(std::optional<Error> error) {
  MutexLock l(mu_);
  done_ = true;
  error_ = std::move(error);
  news_.notify_all();
}

void RestExchange::OnReleased() {
  MutexLock l(mu_);
  released_ = true;
  news_.notify_all();
}

void RestExchange::OnSent(std::unique_ptr<SocketWatch> socket) {
  MutexLock l(mu_);
  socket_ = std::move(socket);
}

RestExchange::News RestExchange::Wait(Time until, const std::stop_token& stop) {
  News news;
  std::function<void()> go_on;
  {
    MutexLock l(mu_);
    news_.wait_until(mu_, stop, until, [this]() REQUIRES(mu_) {
      return done_ || too_much_ || (head_ && (!head_given_ || !bytes_.empty()));
    });
    if (head_) {
      if (!std::exchange(head_given_, true)) news.head = head_;
      news.bytes = std::exchange(bytes_, {});
      go_on = std::exchange(go_on_, nullptr);
    }
    news.done = done_;
    news.error = error_;
    news.too_much = too_much_;
  }
  if (go_on) go_on();
  return news;
}

void RestExchange::Abandon() {
  std::function<void()> go_on;
  {
    MutexLock l(mu_);
    abandoned_ = true;
    bytes_.clear();
    go_on = std::exchange(go_on_, nullptr);
  }
  if (go_on) go_on();
}

std::uint64_t RestExchange::Withheld() {
  MutexLock l(mu_);
  if (socket_ == nullptr) return 0;
  const std::uint64_t received = socket_->Received();
  return received > handed_over_ ? received - handed_over_ : 0;
}

std::unique_ptr<SocketWatch> RestExchange::TakeSocket(Time until) {
  MutexLock l(mu_);
  if (socket_ == nullptr) return nullptr;
  if (!news_.wait_until(mu_, until, [this]() REQUIRES(mu_) { return released_; })) return nullptr;
  return std::move(socket_);
}

}  // namespace backfill::kube
