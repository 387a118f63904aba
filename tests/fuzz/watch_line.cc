#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <variant>
#include <vector>

#include "operator/kube/client/http_headers.h"
#include "operator/kube/client/line_splitter.h"
#include "operator/kube/client/wire.h"
#include "tests/fuzz/feedback.h"

// Whatever an API server, or what stands before it, sends: events of a watch, lists, objects,
// errors and headers. The first byte says in which pieces the bytes come.
namespace backfill::fuzz {
namespace {

using namespace kube;

constexpr std::size_t kMaxLine = 1024;

void CheckError(const ApiError& e) {
  Require(e.message.size() <= 1400 && !e.message.empty(), "an error has a bounded text");
  Require(std::none_of(e.message.begin(), e.message.end(),
                       [](char c) { return static_cast<unsigned char>(c) < 0x20; }),
          "it is one line");
  Require(e.causes.size() <= 33, "causes are bounded");
  Require(!e.retry_after || (e.retry_after->count() >= 0 && *e.retry_after <= kMaxRetryAfter),
          "nobody holds us off for longer than a minute");
  Saw(ToString(e.kind));
}

void CheckObject(const ApiObjectPtr& object) {
  Require(object != nullptr && !object->meta.name.empty(), "what is kept has a name");
}

void CheckEvent(std::string_view line) {
  const WatchEvent event = ParseWatchLine(line, DecodeMetaOnly);
  if (const auto* change = std::get_if<Change>(&event)) {
    CheckObject(change->object);
    Require(!change->object->meta.resource_version.empty(), "a change moves the version");
    Saw("change");
  } else if (const auto* bookmark = std::get_if<Bookmark>(&event)) {
    Require(!bookmark->resource_version.empty(), "a bookmark moves the version");
    Saw(bookmark->initial_events_end ? "end of the first events" : "bookmark");
  } else if (const auto* error = std::get_if<ApiError>(&event)) {
    CheckError(*error);
  } else {
    const auto& broken = std::get<Broken>(event);
    Require(!broken.problem.empty(), "what is broken is said");
    Saw(broken.problem);
  }
}

std::vector<std::string> LinesOf(std::string_view bytes, std::size_t piece) {
  LineSplitter splitter(kMaxLine);
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    splitter.Append(bytes.substr(at, piece));
    while (const auto line = splitter.Next()) lines.emplace_back(*line);
  }
  return lines;
}

}  // namespace
}  // namespace backfill::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace backfill;
  using namespace backfill::fuzz;
  if (size == 0) return 0;
  const std::string_view bytes = View(data + 1, size - 1);
  const std::vector<std::string> lines = LinesOf(bytes, std::max<std::size_t>(bytes.size(), 1));
  Require(lines == LinesOf(bytes, 1 + data[0] % 64), "lines are the same however the bytes come");
  for (const std::string& line : lines) {
    Require(line.size() <= kMaxLine, "a line is bounded");
    CheckEvent(line);
  }
  CheckEvent(bytes);
  if (const auto page = kube::ParseList(bytes, kube::DecodeMetaOnly); page.ok()) {
    Require(!page->resource_version.empty(), "a list has a version to watch from");
    Require((page->broken > 0) == !page->problem.empty(), "what is broken is said");
    for (const auto& item : page->items) CheckObject(item);
    Saw("list");
  }
  const auto object = kube::ParseObject(bytes, kube::DecodeMetaOnly);
  Require(!object.ok() || *object != nullptr, "an object, or what is wrong with it");
  for (const int status : {301, 404, 500})
    CheckError(kube::ErrorOf(kube::HttpResponse{.status = status, .body = std::string(bytes)}));
  const auto wait = kube::ParseRetryAfter(bytes, {});
  Require(!wait || (wait->count() >= 0 && *wait <= kube::kMaxRetryAfter), "at most a minute");
  for (const std::string& warning : kube::ParseWarnings(bytes))
    Require(warning.size() <= 512, "warnings are bounded");
  return 0;
}
