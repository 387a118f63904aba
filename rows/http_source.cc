#include "rows/http_source.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "rows/http_transfer.h"

namespace backfill::rows {
namespace {

constexpr std::size_t kMaxIdle = 3;

// Whether it was stopped.
bool Wait(std::chrono::milliseconds time, const std::stop_token& stop) {
  std::mutex mu;
  std::condition_variable_any cv;
  std::unique_lock lock(mu);
  cv.wait_for(lock, stop, time, [] { return false; });
  return stop.stop_requested();
}

// Sends a request again while that may help and tries are left.
class Retries {
 public:
  explicit Retries(const HttpOptions& options) : options_(options) {}

  void Reset() { failed_ = 0; }
  // Nothing: go on. Else what to give up with.
  std::optional<Error> After(const Error& error, const std::stop_token& stop) {
    if (error.code != ErrorCode::kUnavailable || failed_ >= options_.retries) return error;
    const auto wait = options_.backoff * (1 << std::min(failed_++, 6));
    if (Wait(wait, stop)) return Error{ErrorCode::kAborted, "stopped while reading a URL"};
    return std::nullopt;
  }

 private:
  const HttpOptions& options_;
  int failed_ = 0;
};

}  // namespace

std::string ShownUrl(const std::string& url) {
  std::string shown = url.substr(0, url.find_first_of("?#"));
  const std::size_t host = shown.find("://");
  if (host == std::string::npos) return shown;
  const std::size_t path = shown.find('/', host + 3);
  const std::size_t at = shown.rfind('@', path);
  if (at != std::string::npos && at > host) shown.erase(host + 3, at + 1 - (host + 3));
  return shown;
}

class HttpSource::Stream final : public ByteStream {
 public:
  Stream(HttpSource& source, std::uint64_t offset, std::uint64_t length)
      : source_(source), at_(offset), left_(length), retries_(source.options_) {}
  ~Stream() override {
    if (transfer_ != nullptr && transfer_->finished()) source_.GiveBack(std::move(transfer_));
  }

  Result<std::size_t> Read(std::span<char> into, const std::stop_token& stop) override {
    const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), left_));
    if (AtEnd()) return std::size_t{0};
    for (;;) {
      Result<std::size_t> n = Some(into.first(most), stop);
      if (n) {
        if (*n > 0) retries_.Reset();
        at_ += *n;
        left_ -= *n;
        source_.furthest_ = std::max(source_.furthest_, at_);
        if (*n > 0 && AtEnd() && source_.ranges_) SeeTheEnd(stop);
        return *n;
      }
      transfer_.reset();
      if (const std::optional<Error> error = retries_.After(n.error(), stop))
        return error->Annotate("reading " + source_.shown_url_);
    }
  }

  [[nodiscard]] std::size_t held_bytes() const override { return std::size_t{400} << 10; }

 private:
  [[nodiscard]] bool AtEnd() const {
    return left_ == 0 || (source_.length_ && at_ >= *source_.length_);
  }

  // The connection can be used again only once the transfer knows that it is over.
  void SeeTheEnd(const std::stop_token& stop) {
    char more = 0;
    const auto end = transfer_->Read({&more, 1}, stop);
    if (!end.ok() || *end > 0) transfer_.reset();
  }

  Result<std::size_t> Some(std::span<char> into, const std::stop_token& stop) {
    if (transfer_ == nullptr) {
      TRY(Begin(stop));
      if (ended_) return std::size_t{0};
    }
    for (; skip_ > 0;) {
      const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), skip_));
      const std::size_t n = TRY(transfer_->Read(into.first(most), stop));
      if (n == 0) return End();
      skip_ -= n;
    }
    const std::size_t n = TRY(transfer_->Read(into, stop));
    return n > 0 ? Result<std::size_t>(n) : End();
  }

  // A body that ends before the file does was cut short.
  Result<std::size_t> End() const {
    if (source_.length_ && at_ < *source_.length_) {
      return Error{ErrorCode::kUnavailable, "the body ended at byte " + std::to_string(at_) +
                                                " of " + std::to_string(*source_.length_)};
    }
    return std::size_t{0};
  }

  Status Begin(const std::stop_token& stop) {
    transfer_ = TRY(source_.TakeTransfer());
    std::string range;
    if (source_.ranges_) {
      range = std::to_string(at_) + "-";
      if (left_ != kToTheEnd) range += std::to_string(at_ + left_ - 1);
    }
    source_.Start(*transfer_, range);
    const HttpReply reply = TRY(transfer_->Head(stop));
    skip_ = 0;
    switch (reply.status) {
      case 200:
        TRY(source_.CheckVersion(reply, reply.content_length));
        skip_ = at_;
        return Ok{};
      case 206:
        TRY(source_.CheckVersion(reply, reply.range_total));
        if (reply.range_begin != at_)
          return Error{ErrorCode::kInvalid, "the server gave another range than it was asked for"};
        return Ok{};
      case 416:
        TRY(source_.CheckVersion(reply, reply.range_total));
        ended_ = true;
        return Ok{};
      default:
        return source_.FromStatus(reply.status);
    }
  }

  HttpSource& source_;
  std::uint64_t at_;
  std::uint64_t left_;
  Retries retries_;
  std::unique_ptr<HttpTransfer> transfer_;
  std::uint64_t skip_ = 0;
  bool ended_ = false;
};

HttpSource::HttpSource(std::string url, HttpOptions options, SecretHeaders secrets)
    : url_(std::move(url)),
      shown_url_(ShownUrl(url_)),
      options_(std::move(options)),
      secrets_(std::move(secrets)) {}

HttpSource::~HttpSource() = default;

Result<std::unique_ptr<ByteSource>> HttpSource::Open(const std::string& url,
                                                     const HttpOptions& options,
                                                     const std::stop_token& stop) {
  auto secrets = SecretHeaders::Load(options.secret_headers, "source.file.secretHeaders");
  if (!secrets.ok()) return Error{ErrorCode::kUnauthenticated, secrets.error().message};
  std::unique_ptr<HttpSource> source(new HttpSource(url, options, std::move(*secrets)));
  Retries retries(options);
  for (;;) {
    const Status probed = source->Probe(stop);
    if (probed) return std::unique_ptr<ByteSource>(std::move(source));
    if (const std::optional<Error> error = retries.After(probed.error(), stop))
      return error->Annotate("opening " + source->shown_url_);
  }
}

// The first byte is enough to learn whether the server gives ranges, and of what version and
// length.
Status HttpSource::Probe(const std::stop_token& stop) {
  auto transfer = TRY(TakeTransfer());
  Start(*transfer, "0-0");
  const HttpReply reply = TRY(transfer->Head(stop));
  if (reply.status == 206) {
    ranges_ = true;
    length_ = reply.range_total;
    if (!length_) return Error{ErrorCode::kInvalid, "the server gives ranges of no known length"};
  } else if (reply.status == 416 && reply.range_total == 0U) {
    ranges_ = true;
    length_ = 0;
  } else if (reply.status == 200) {
    length_ = reply.content_length;
  } else {
    return FromStatus(reply.status);
  }
  etag_ = reply.etag;
  last_modified_ = reply.last_modified;
  char last = 0;
  while (reply.status == 206 && TRY(transfer->Read({&last, 1}, stop)) > 0) {
  }
  if (transfer->finished()) GiveBack(std::move(transfer));
  return Ok{};
}

Status HttpSource::CheckVersion(const HttpReply& reply, std::optional<std::uint64_t> length) const {
  const auto changed = [](const std::string& what, const std::string& was, const std::string& is) {
    return Error{ErrorCode::kConflict, "the file changed while it was read: its " + what + " was " +
                                           was + " and is " + is};
  };
  if (length && length_ && *length != *length_)
    return changed("length", std::to_string(*length_), std::to_string(*length));
  if (!reply.etag.empty() && !etag_.empty() && reply.etag != etag_)
    return changed("ETag", etag_, reply.etag);
  if (!reply.last_modified.empty() && !last_modified_.empty() &&
      reply.last_modified != last_modified_) {
    return changed("Last-Modified", last_modified_, reply.last_modified);
  }
  return Ok{};
}

Error HttpSource::FromStatus(int status) const {
  // Whatever it refuses now it did not refuse at another time: the file may well be what it was.
  ErrorCode code = ErrorCode::kPermission;
  std::string why = "the server answered " + std::to_string(status);
  if (status >= 300 && status < 400 && !options_.secret_headers.empty())
    why += "; redirects are not followed, as the secret headers would go along";
  if (status == 404 || status == 410) code = ErrorCode::kNotFound;
  if (status == 401) code = ErrorCode::kUnauthenticated;
  if (status == 408 || status == 425 || status == 429 || status >= 500)
    code = ErrorCode::kUnavailable;
  return Error{code, why};
}

Result<std::unique_ptr<HttpTransfer>> HttpSource::TakeTransfer() {
  if (idle_.empty()) return HttpTransfer::Make();
  auto transfer = std::move(idle_.back());
  idle_.pop_back();
  return transfer;
}

void HttpSource::Start(HttpTransfer& transfer, const std::string& range) {
  secrets_.Refresh();
  transfer.Start(url_, range, secrets_.lines(), options_);
}

void HttpSource::GiveBack(std::unique_ptr<HttpTransfer> transfer) {
  if (idle_.size() < kMaxIdle) idle_.push_back(std::move(transfer));
}

Result<std::unique_ptr<ByteStream>> HttpSource::Open(std::uint64_t offset, std::uint64_t length,
                                                     const std::stop_token& /*stop*/) {
  return std::unique_ptr<ByteStream>(std::make_unique<Stream>(*this, offset, length));
}

}  // namespace backfill::rows
