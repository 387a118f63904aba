#include "operator/observe/query.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "operator/kube/client/server_url.h"
#include "operator/observe/answers.h"
#include "operator/observe/credential_name.h"
#include "operator/observe/json_pointer.h"
#include "operator/observe/series_selector.h"

namespace backfill::observe {
namespace {

constexpr std::size_t kMaxAddresses = 4;
constexpr std::size_t kMaxQueryBytes = 8192;
constexpr Duration kMinTimeout = 100ms, kMaxTimeout = 60s;
constexpr Duration kMinWindow = 1s, kMaxWindow = 1h;
constexpr Duration kMaxWorkersWindow = 5min;

template <typename... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <typename... F>
Overloaded(F...) -> Overloaded<F...>;

Error InvalidQuery(std::string message) { return {ErrorCode::kInvalid, std::move(message)}; }

Status CheckBasics(const std::string& credentials, Duration timeout) {
  TRY(CheckCredentialName(credentials));
  if (timeout < kMinTimeout || timeout > kMaxTimeout)
    return InvalidQuery("timeout: must be from 100ms to 60s");
  return Ok{};
}

Status CheckWindow(Duration window, Duration most) {
  if (window >= kMinWindow && window <= most) return Ok{};
  return InvalidQuery(fmt::format("window: must be from 1s to {}m",
                                  std::chrono::duration_cast<std::chrono::minutes>(most).count()));
}

Status CheckPromQl(const std::string& field, const std::string& text) {
  if (text.size() > kMaxQueryBytes)
    return InvalidQuery(fmt::format("{}: longer than {} bytes", field, kMaxQueryBytes));
  if (text.find('\0') != std::string::npos) return InvalidQuery(field + ": has a NUL character");
  return Ok{};
}

Status CheckOne(const PrometheusQuery& q) {
  if (q.addresses.empty() || q.addresses.size() > kMaxAddresses)
    return InvalidQuery(fmt::format("address: from one to {} are needed", kMaxAddresses));
  for (const std::string& address : q.addresses)
    TRY(kube::ParseServerUrl(address).Annotate("address"));
  if (q.query.find_first_not_of(" \t\r\n") == std::string::npos)
    return InvalidQuery("query: is empty; it must be a PromQL expression");
  TRY(CheckPromQl("query", q.query));
  TRY(CheckPromQl("freshnessQuery", q.freshness_query));
  if (!q.partition_label.empty() && q.reduce == Reduce::kNone)
    return InvalidQuery("partitionLabel: one of the partitions has to stand for all");
  return CheckBasics(q.credentials, q.timeout);
}

Status CheckOne(const ScrapeQuery& q) {
  TRY(Split(q.url));
  TRY(ParseSeriesSelector(q.series));
  if (q.as == ScrapeAs::kQuantile && !(q.quantile > 0 && q.quantile < 1))
    return InvalidQuery("quantile: must be between 0 and 1, such as 0.99");
  if (q.as != ScrapeAs::kValue) TRY(CheckWindow(q.window, kMaxWindow));
  return CheckBasics(q.credentials, q.timeout);
}

Status CheckOne(const JsonQuery& q) {
  TRY(Split(q.url));
  TRY(ParseJsonPointer(q.pointer));
  return CheckBasics(q.credentials, q.timeout);
}

Status CheckOne(const WorkersQuery& q) { return CheckWindow(q.window, kMaxWorkersWindow); }

// Each part with its length, so that no two lists of parts look the same.
std::string Joined(std::initializer_list<std::string> parts) {
  std::string out;
  for (const std::string& part : parts) out += fmt::format("{}:{} ", part.size(), part);
  return out;
}

std::string OriginOf(const std::string& url) {
  const auto split = Split(url);
  return split.ok() ? split->server : url;
}

}  // namespace

Status Check(const Query& query) {
  return std::visit([](const auto& q) { return CheckOne(q); }, query);
}

std::string KeyOf(const Query& query) {
  return std::visit(
      Overloaded{[](const PrometheusQuery& q) {
                   std::string addresses;
                   for (const std::string& a : q.addresses) addresses += Joined({a});
                   return Joined({"prometheus", addresses, q.query, q.freshness_query,
                                  q.credentials, std::to_string(q.timeout.count()),
                                  std::string(ToString(q.reduce)), q.partition_label});
                 },
                 [](const ScrapeQuery& q) {
                   return Joined({"scrape", q.url, q.series, std::to_string(static_cast<int>(q.as)),
                                  fmt::format("{}", q.quantile), std::to_string(q.window.count()),
                                  q.credentials, std::to_string(q.timeout.count()),
                                  std::string(ToString(q.reduce))});
                 },
                 [](const JsonQuery& q) {
                   return Joined({"http", q.url, q.pointer, q.credentials,
                                  std::to_string(q.timeout.count())});
                 },
                 [](const WorkersQuery& q) {
                   return Joined({"workers", q.owner, std::to_string(static_cast<int>(q.signal)),
                                  std::to_string(q.window.count())});
                 }},
      query);
}

std::string ProviderOf(const Query& query) {
  return std::visit(
      Overloaded{[](const PrometheusQuery& q) {
                   // Whoever asks with other credentials may be served where we are not.
                   return Joined({q.addresses.empty() ? "" : q.addresses.front(), q.credentials});
                 },
                 [](const ScrapeQuery& q) { return Joined({OriginOf(q.url), q.credentials}); },
                 [](const JsonQuery& q) { return Joined({OriginOf(q.url), q.credentials}); },
                 [](const WorkersQuery& q) { return Joined({"workers", q.owner}); }},
      query);
}

Duration TimeoutOf(const Query& query) {
  return std::visit(
      Overloaded{[](const WorkersQuery&) -> Duration { return 1s; },  // it is in this process
                 [](const auto& q) -> Duration { return q.timeout; }},
      query);
}

std::string ShownQuery(const Query& query, std::size_t bytes) {
  return Excerpt(std::visit(Overloaded{[](const PrometheusQuery& q) { return q.query; },
                                       [](const ScrapeQuery& q) { return q.series; },
                                       [](const JsonQuery& q) {
                                         return q.pointer.empty() ? std::string("the document")
                                                                  : q.pointer;
                                       },
                                       [](const WorkersQuery& q) {
                                         return std::string(q.signal == WorkerSignal::kErrorRatio
                                                                ? "workers' ErrorRatio"
                                                                : "workers' LatencyP99");
                                       }},
                            query),
                 bytes);
}

std::string_view ToString(Reduce reduce) {
  switch (reduce) {
    case Reduce::kNone:
      return "None";
    case Reduce::kMax:
      return "Max";
    case Reduce::kMin:
      return "Min";
    case Reduce::kSum:
      return "Sum";
    case Reduce::kAvg:
      return "Avg";
  }
  return "?";
}

double Reduced(Reduce reduce, const std::vector<double>& values) {
  const auto sum = [&] { return std::accumulate(values.begin(), values.end(), 0.0); };
  switch (reduce) {
    case Reduce::kMax:
      return *std::ranges::max_element(values);
    case Reduce::kMin:
      return *std::ranges::min_element(values);
    case Reduce::kSum:
      return sum();
    case Reduce::kAvg:
      return sum() / static_cast<double>(values.size());
    case Reduce::kNone:
      break;
  }
  return values.size() == 1 ? values.front() : std::nan("");
}

Result<SplitUrl> Split(std::string_view url) {
  if (url.size() > 2048) return InvalidQuery("url: longer than 2048 bytes");
  const std::size_t scheme = url.find("://");
  const std::size_t path = scheme == std::string_view::npos
                               ? url.size()
                               : std::min(url.find_first_of("/?#", scheme + 3), url.size());
  const kube::ServerUrl server = TRY(kube::ParseServerUrl(url.substr(0, path)).Annotate("url"));
  std::string target(url.substr(path));
  if (!target.starts_with('/')) target.insert(0, 1, '/');
  if (target.find('#') != std::string::npos)
    return InvalidQuery("url: a fragment (#) is never sent");
  const bool sendable =
      std::ranges::all_of(target, [](char c) { return c > 0x20 && c < 0x7f && c != '"'; });
  if (!sendable || target.starts_with("//"))
    return InvalidQuery("url: the path must be visible ASCII; encode other characters as %XX");
  return SplitUrl{.server = server.Origin(), .target = std::move(target)};
}

}  // namespace backfill::observe
