#include "rows/http_transfer.h"

#include <strings.h>
#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstring>
#include <utility>
#include <vector>

#include "rows/curl_library.h"

namespace backfill::rows {
namespace {

constexpr std::size_t kBodyBuffer = std::size_t{256} << 10;
constexpr int kWakeEveryMs = 1'000;  // curl has timers of its own; a stop wakes it at once

std::string_view Trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

std::optional<std::uint64_t> Number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

void TakeHeader(std::string_view line, HttpReply& reply) {
  if (line.starts_with("HTTP/")) {  // also of a reply that follows a redirect
    reply = {};
    const std::size_t space = line.find(' ');
    if (space != std::string_view::npos)
      reply.status = static_cast<int>(Number(line.substr(space + 1, 3)).value_or(0));
    return;
  }
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return;
  std::string name(line.substr(0, colon));
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const std::string_view value = Trimmed(line.substr(colon + 1));
  if (name == "etag") reply.etag = value;
  if (name == "last-modified") reply.last_modified = value;
  if (name == "content-length") reply.content_length = Number(value);
  if (name == "content-range" && value.starts_with("bytes ")) {
    const std::string_view range = value.substr(6);
    const std::size_t slash = range.find('/');
    if (slash == std::string_view::npos) return;
    reply.range_total = Number(range.substr(slash + 1));
    reply.range_begin = Number(range.substr(0, range.find('-')));
  }
}

// Whether they may go along to where a redirect leads: libcurl keeps Authorization to the host that
// it is for, and sends all others anywhere.
bool MayBeRedirected(const HttpOptions& options) {
  return std::ranges::all_of(options.secret_headers, [](const SecretHeader& header) {
    return header.name.size() == 13 && strcasecmp(header.name.c_str(), "authorization") == 0;
  });
}

Error FromCurl(const CurlLibrary& lib, CURLcode code, const char* details) {
  const std::string what = details[0] != '\0' ? details : lib.easy_strerror(code);
  const bool url = code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL;
  return Error{url ? ErrorCode::kInvalid : ErrorCode::kUnavailable, what};
}

}  // namespace

struct HttpTransfer::Curl {
  explicit Curl(const CurlLibrary& library) : lib(library) {}

  const CurlLibrary& lib;
  CURLM* multi = nullptr;
  CURL* easy = nullptr;
  curl_slist* headers = nullptr;
  bool added = false;

  HttpReply reply;
  std::vector<char> body;  // [begin, body.size()) was not read yet
  std::size_t begin = 0;
  bool body_began = false;
  bool paused = false;
  bool done = false;
  CURLcode code = CURLE_OK;
  char details[CURL_ERROR_SIZE] = {};

  ~Curl() {
    Remove();
    lib.slist_free_all(headers);
    if (easy != nullptr) lib.easy_cleanup(easy);
    if (multi != nullptr) lib.multi_cleanup(multi);
  }
  void Remove() {
    if (added) lib.multi_remove_handle(multi, easy);
    added = false;
  }
  [[nodiscard]] std::size_t waiting() const { return body.size() - begin; }

  static std::size_t OnBody(const char* data, std::size_t one, std::size_t size, void* self) {
    auto& curl = *static_cast<Curl*>(self);
    curl.body_began = true;
    if (curl.waiting() > 0 && curl.waiting() + size > kBodyBuffer) {
      curl.paused = true;
      return CURL_WRITEFUNC_PAUSE;
    }
    if (curl.waiting() == 0) {
      curl.body.clear();
      curl.begin = 0;
    }
    curl.body.insert(curl.body.end(), data, data + size);
    return one * size;
  }
  static std::size_t OnHeader(const char* data, std::size_t one, std::size_t size, void* self) {
    TakeHeader({data, size}, static_cast<Curl*>(self)->reply);
    return one * size;
  }
};

HttpTransfer::HttpTransfer(std::unique_ptr<Curl> curl) : curl_(std::move(curl)) {}
HttpTransfer::~HttpTransfer() = default;

Result<std::unique_ptr<HttpTransfer>> HttpTransfer::Make() {
  const CurlLibrary* const lib = TRY(CurlLibrary::Load());
  auto curl = std::make_unique<Curl>(*lib);
  curl->multi = lib->multi_init();
  curl->easy = lib->easy_init();
  if (curl->multi == nullptr || curl->easy == nullptr)
    return Error{ErrorCode::kInternal, "libcurl does not start"};
  return std::unique_ptr<HttpTransfer>(new HttpTransfer(std::move(curl)));
}

void HttpTransfer::Start(const std::string& url, const std::string& range, std::string_view headers,
                         const HttpOptions& options) {
  Curl& c = *curl_;
  c.Remove();
  c.reply = {};
  c.body.clear();
  c.begin = 0;
  c.body_began = c.paused = c.done = false;
  c.code = CURLE_OK;
  c.details[0] = '\0';

  CURL* const easy = c.easy;
  c.lib.easy_reset(easy);
  const bool secure = url.starts_with("https:");
  c.lib.easy_setopt(easy, CURLOPT_URL, url.c_str());
  c.lib.easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  c.lib.easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https");
  c.lib.easy_setopt(easy, CURLOPT_FOLLOWLOCATION, MayBeRedirected(options) ? 1L : 0L);
  c.lib.easy_setopt(easy, CURLOPT_MAXREDIRS, 5L);
  c.lib.easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  c.lib.easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  c.lib.easy_setopt(easy, CURLOPT_PROXY, "");  // none from the environment
  c.lib.easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  c.lib.easy_setopt(easy, CURLOPT_USERAGENT, "backfill");
  c.lib.easy_setopt(easy, CURLOPT_BUFFERSIZE, 128L << 10);
  c.lib.easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                    static_cast<long>(options.connect_timeout.count()));
  c.lib.easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
  c.lib.easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, static_cast<long>(options.idle_timeout.count()));
  c.lib.easy_setopt(easy, CURLOPT_ERRORBUFFER, c.details);
  c.lib.easy_setopt(easy, CURLOPT_WRITEFUNCTION, &Curl::OnBody);
  c.lib.easy_setopt(easy, CURLOPT_WRITEDATA, &c);
  c.lib.easy_setopt(easy, CURLOPT_HEADERFUNCTION, &Curl::OnHeader);
  c.lib.easy_setopt(easy, CURLOPT_HEADERDATA, &c);
  if (!options.ca_file.empty()) c.lib.easy_setopt(easy, CURLOPT_CAINFO, options.ca_file.c_str());
  if (!options.cert_file.empty()) {
    c.lib.easy_setopt(easy, CURLOPT_SSLCERT, options.cert_file.c_str());
    c.lib.easy_setopt(easy, CURLOPT_SSLKEY, options.key_file.c_str());
  }
  c.lib.slist_free_all(std::exchange(c.headers, nullptr));
  for (std::size_t end = 0; !headers.empty(); headers.remove_prefix(end + 2)) {
    end = headers.find("\r\n");
    curl_slist* const longer =
        c.lib.slist_append(c.headers, std::string(headers.substr(0, end)).c_str());
    if (longer != nullptr) c.headers = longer;  // else out of memory: the server will refuse
  }
  c.lib.easy_setopt(easy, CURLOPT_HTTPHEADER, c.headers);
  if (!range.empty()) c.lib.easy_setopt(easy, CURLOPT_RANGE, range.c_str());
  c.lib.multi_add_handle(c.multi, easy);
  c.added = true;
}

Result<HttpReply> HttpTransfer::Head(const std::stop_token& stop) {
  while (!curl_->body_began && !curl_->done) TRY(Drive(stop));
  // What came of a body that broke is worth having: Read() gives it first.
  const bool broke = curl_->done && curl_->code != CURLE_OK;
  if (broke && !curl_->body_began) return FromCurl(curl_->lib, curl_->code, curl_->details);
  return curl_->reply;
}

Result<std::size_t> HttpTransfer::Read(std::span<char> into, const std::stop_token& stop) {
  Curl& c = *curl_;
  while (c.waiting() == 0) {
    if (c.done && c.code != CURLE_OK) return FromCurl(curl_->lib, c.code, c.details);
    if (c.done) return std::size_t{0};
    TRY(Drive(stop));
  }
  const std::size_t n = std::min(into.size(), c.waiting());
  std::memcpy(into.data(), c.body.data() + c.begin, n);
  c.begin += n;
  return n;
}

bool HttpTransfer::finished() const { return curl_->done && curl_->code == CURLE_OK; }

// Lets libcurl do what it can, and waits if it can do nothing.
Status HttpTransfer::Drive(const std::stop_token& stop) {
  Curl& c = *curl_;
  if (stop.stop_requested()) return Error{ErrorCode::kAborted, "stopped while reading a URL"};
  if (c.paused) {
    c.paused = false;
    c.lib.easy_pause(c.easy, CURLPAUSE_CONT);
    if (c.waiting() > 0) return Ok{};
  }
  int running = 0;
  c.lib.multi_perform(c.multi, &running);
  int left = 0;
  while (const CURLMsg* const message = c.lib.multi_info_read(c.multi, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    c.done = true;
    c.code = message->data.result;
  }
  if (c.done || c.waiting() > 0 || c.paused) return Ok{};
  const std::stop_callback wake(stop, [&c] { c.lib.multi_wakeup(c.multi); });
  c.lib.multi_poll(c.multi, nullptr, 0, kWakeEveryMs, nullptr);
  return Ok{};
}

}  // namespace backfill::rows
