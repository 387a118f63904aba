#include <algorithm>
#include <string>
#include <vector>

#include "operator/api/decode.h"
#include "operator/api/json.h"
#include "rows/utf8.h"
#include "tests/fuzz/feedback.h"
#include "worker/target/escape.h"
#include "worker/target/renderer.h"

// A template in each place where one may stand. What is accepted with the file is accepted by the
// workers, and whatever a record holds, it stays where it was put: no value makes a header, ends
// the body early, or breaks out of a JSON string.
namespace backfill::fuzz {
namespace {

using worker::Record, worker::Renderer, worker::RequestTemplate, worker::TemplateNames;

enum class Place { kUrl, kHeader, kJsonBody, kRawBody };

const std::vector<std::string>& Fields() {
  static const std::vector<std::string> fields = {"id", "a", "ü"};
  return fields;
}

RequestTemplate Request(std::string_view text, Place place) {
  RequestTemplate request{.method = "POST", .url = "http://h/", .headers = {}, .body = {}};
  const std::string is(text);
  switch (place) {
    case Place::kUrl:
      request.url += is;
      break;
    case Place::kHeader:
      request.headers.emplace_back("X-A", is);
      break;
    case Place::kJsonBody:
      request.body = is;
      break;
    case Place::kRawBody:
      request.headers.emplace_back("Content-Type", "text/plain");
      request.body = is;
      break;
  }
  return request;
}

// The file that says so, in JSON.
std::string File(const RequestTemplate& request, int batch_size) {
  const auto quoted = [](const std::string& text) {
    std::string out;
    worker::AppendJsonString(out, text);
    return out;
  };
  std::string headers;
  for (const auto& [name, value] : request.headers)
    headers += (headers.empty() ? "" : ",") + quoted(name) + ":" + quoted(value);
  return R"({"apiVersion":"backfill.dev/v1alpha1","kind":"Backfill","metadata":{"name":"n"},)"
         R"("spec":{"source":{"file":{"path":"/f","format":"Csv","key":"id"}},"workers":{"batchSize":)" +
         std::to_string(batch_size) + R"(},"target":{"http":{"url":)" + quoted(request.url) +
         ",\"headers\":{" + headers + "},\"body\":" + quoted(request.body) + "}}}}";
}

Record RecordOf(std::string key, std::string a, std::string u) {
  return {.position = 0, .key = key, .fields = {std::move(key), std::move(a), std::move(u)}};
}
const std::vector<Record>& Hostile(bool batch) {
  static const std::vector<Record> one = {RecordOf(
      "a/../\"b\\?&#%0d{{key}}\xC3\xA4", "\r\nX-Evil: 1\r\n\r\n{", "\",\"admin\":true,\"\t")};
  static const std::vector<Record> many = {one.front(), one.front()};
  return batch ? many : one;
}

void RequireWellFormed(const std::string& request, std::size_t headers) {
  const std::size_t end = request.find("\r\n\r\n");
  Require(end != std::string::npos, "the head ends");
  const std::string head = request.substr(0, end + 2);
  const std::string body = request.substr(end + 4);
  const std::size_t line = head.find("\r\n");
  const std::string first = head.substr(0, line);
  Require(std::ranges::count(first, ' ') == 2 && first.ends_with(" HTTP/1.1"),
          "the request line has three parts");
  Require(std::ranges::all_of(first, [](char c) { return c >= ' ' && c < '\x7F'; }),
          "the request line is printable ASCII");
  Require(static_cast<std::size_t>(std::ranges::count(head, '\n')) == headers + 1 &&
              std::ranges::count(head, '\n') == std::ranges::count(head, '\r'),
          "no header more than there should be");
  const std::string field = "\r\nContent-Length: ";
  const std::size_t length = head.rfind(field);  // behind what the template names
  Require(length != std::string::npos, "the length of the body is said");
  Require(std::stoul(head.substr(length + field.size())) == body.size(),
          "it is the length of the body");
}

std::string BodyOf(const std::string& request) {
  return request.substr(request.find("\r\n\r\n") + 4);
}

void CheckPlace(std::string_view text, Place place, bool batch, bool utf8) {
  const RequestTemplate request = Request(text, place);
  const TemplateNames names{.backfill_name = "n", .backfill_uid = "u", .fields = Fields()};
  const auto renderer = Renderer::Compile(request, names);
  if (!renderer.ok()) Saw(renderer.error().message);
  if (utf8) {
    const api::Decoded decoded = api::DecodeBackfill(File(request, batch ? 2 : 1), "f");
    for (const api::Problem& problem : decoded.problems) Saw(problem.message);
    const bool no_field =
        !renderer.ok() && renderer.error().message.find("has no field") != std::string::npos;
    if (decoded.backfill && !no_field)  // which fields there are is known once the file is read
      Require(renderer.ok(), "what is accepted with the file is accepted by the workers");
  }
  if (!renderer.ok()) return;
  static_cast<void>(renderer->Describe(Hostile(batch), 2048));
  std::string sent;
  const Status rendered = renderer->Append(Hostile(batch), sent);
  if (!rendered.ok()) return Saw(rendered.error().message);
  const bool body = place == Place::kJsonBody || place == Place::kRawBody;
  // Host, User-Agent, Idempotency-Key, Content-Length; what the request names; the type of a body.
  const bool typed = body && !request.body.empty() && request.headers.empty();
  RequireWellFormed(sent, 4 + request.headers.size() + (typed ? 1 : 0));
  if (place != Place::kJsonBody || !utf8) return;
  // "k" is no JSON outside of a string, so a template that is JSON with it has its values inside.
  std::string plain;
  const std::vector<Record> harmless(batch ? 2 : 1, RecordOf("k", "k", "k"));
  Require(renderer->Append(harmless, plain).ok(), "a harmless record is rendered");
  if (!api::ParseJsonObject(BodyOf(plain)).ok()) return;
  Require(api::ParseJsonObject(BodyOf(sent)).ok(), "a value does not break out of a JSON string");
}

}  // namespace
}  // namespace backfill::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace backfill;
  const std::string_view text = fuzz::View(data, size);
  const bool utf8 = rows::IsUtf8(text);
  for (const auto place :
       {fuzz::Place::kUrl, fuzz::Place::kHeader, fuzz::Place::kJsonBody, fuzz::Place::kRawBody}) {
    for (const bool batch : {false, true}) fuzz::CheckPlace(text, place, batch, utf8);
  }
  return 0;
}
