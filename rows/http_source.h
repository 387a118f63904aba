#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/secret_headers.h"
#include "rows/byte_source.h"

namespace backfill::rows {

class HttpTransfer;
struct HttpReply;

struct HttpOptions {
  // A failed request (no connection, a broken body, 408, 425, 429, 5xx) is sent again after so
  // long, twice that, ...; so many times without a byte in between.
  int retries = 4;
  std::chrono::milliseconds backoff{500};
  std::chrono::milliseconds connect_timeout{10'000};
  // Less than one byte a second for so long is a failed request.
  std::chrono::seconds idle_timeout{30};
  // Of https. Paths of PEM files, read for each connection; each may be empty.
  std::string ca_file = {};                   // the only certificates that are trusted
  std::string cert_file = {}, key_file = {};  // who we are: both or none
  std::vector<SecretHeader> secret_headers = {};
};

// Without user, password and query, which may be secret.
std::string ShownUrl(const std::string& url);

// A file behind http or https. Read by ranges where the server can, else every stream begins at the
// front. What is read is one version of the file: another ETag, Last-Modified or length than at
// first is kConflict. Redirects are followed (five, never from https to http), but none when secret
// headers other than Authorization are sent: that one stays with the host it is for (libcurl sees
// to it), others would not. Credentials in the URL are sent and never shown.
class HttpSource final : public ByteSource {
 public:
  // Asks for the first byte to learn what the server can. kNotFound, kUnauthenticated (also: a
  // secret cannot be read), kPermission (also another 3xx or 4xx), kInvalid (not a URL),
  // kUnavailable, kAborted.
  static Result<std::unique_ptr<ByteSource>> Open(const std::string& url,
                                                  const HttpOptions& options,
                                                  const std::stop_token& stop);
  ~HttpSource() override;

  Result<std::unique_ptr<ByteStream>> Open(std::uint64_t offset, std::uint64_t length,
                                           const std::stop_token& stop) override;
  [[nodiscard]] bool seekable() const override { return ranges_; }
  [[nodiscard]] std::optional<std::uint64_t> stored_bytes() const override { return length_; }
  [[nodiscard]] std::uint64_t stored_bytes_read() const override { return furthest_; }

 private:
  class Stream;

  HttpSource(std::string url, HttpOptions options, SecretHeaders secrets);
  Status Probe(const std::stop_token& stop);
  Status CheckVersion(const HttpReply& reply, std::optional<std::uint64_t> length) const;
  [[nodiscard]] Error FromStatus(int status) const;
  Result<std::unique_ptr<HttpTransfer>> TakeTransfer();
  // Begins a request with the secrets as they are now.
  void Start(HttpTransfer& transfer, const std::string& range);
  void GiveBack(std::unique_ptr<HttpTransfer> transfer);

  const std::string url_;
  const std::string shown_url_;  // without credentials and query
  const HttpOptions options_;
  SecretHeaders secrets_;
  bool ranges_ = false;
  std::optional<std::uint64_t> length_;
  std::string etag_;
  std::string last_modified_;
  std::uint64_t furthest_ = 0;
  std::vector<std::unique_ptr<HttpTransfer>> idle_;  // at most a few
};

}  // namespace backfill::rows
