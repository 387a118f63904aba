#include "cli/plan_samples.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <variant>

#include "base/range.h"
#include "worker/target/renderer.h"

namespace backfill::cli {
namespace {

constexpr std::size_t kMostSamples = 3;
constexpr std::size_t kMaxSampleBytes = 2048;

// The first records of a source, as a worker would read them.
struct FirstRecords {
  std::size_t most;

  std::vector<worker::Record> operator()(const api::RangeSource& source) const {
    const auto there = Range{source.start, source.end}.size();
    std::vector<worker::Record> records;
    for (std::uint64_t i = 0; i < std::min<std::uint64_t>(most, there); ++i) {
      const Position position = Advance(source.start, i);
      records.push_back({.position = position, .key = std::to_string(position)});
    }
    return records;
  }
  std::vector<worker::Record> operator()(const api::KeysSource& source) const {
    std::vector<worker::Record> records;
    for (std::size_t i = 0; i < std::min(most, source.keys.size()); ++i)
      records.push_back({.position = static_cast<Position>(i), .key = source.keys[i]});
    return records;
  }
  std::vector<worker::Record> operator()(const api::FailuresOfSource&) const { return {}; }
  std::vector<worker::Record> operator()(const api::FileSource&) const { return {}; }
};

bool HasNumericKeys(const api::Source& source) {
  const auto* keys = std::get_if<api::KeysSource>(&source);
  return keys != nullptr ? keys->numeric : std::holds_alternative<api::RangeSource>(source);
}

worker::RequestTemplate TemplateOf(const api::HttpTarget& target) {
  worker::RequestTemplate request{
      .method = target.method, .url = target.url, .headers = {}, .body = target.body};
  for (const auto& [name, value] : target.headers) request.headers.emplace_back(name, value);
  request.timeout = target.timeout;
  return request;
}

}  // namespace

Result<std::vector<RequestSample>> SampleRequests(const std::string& name, const api::Spec& spec) {
  // Its rows are the workers' to read; the dry run keeps samples of them.
  if (std::holds_alternative<api::FileSource>(spec.source)) return std::vector<RequestSample>{};
  const worker::TemplateNames names{.backfill_name = name,
                                    .backfill_uid = kUnknownUid,
                                    .fields = {},
                                    .numeric_keys = HasNumericKeys(spec.source)};
  const auto renderer =
      TRY(worker::Renderer::Compile(TemplateOf(spec.target), names).Annotate("spec.target.http"));
  const auto batch = static_cast<std::size_t>(std::max(1, spec.workers.batch_size));
  const std::vector<worker::Record> records =
      std::visit(FirstRecords{std::max(batch, kMostSamples)}, spec.source);
  std::vector<RequestSample> samples;
  const auto add = [&](const std::vector<worker::Record>& of) {
    samples.push_back({of.front().key, renderer.Describe(of, kMaxSampleBytes)});
  };
  if (batch > 1) {
    if (!records.empty())
      add({records.begin(),
           records.begin() + static_cast<std::ptrdiff_t>(std::min(batch, records.size()))});
    return samples;
  }
  for (const worker::Record& record : records) add({record});
  return samples;
}

}  // namespace backfill::cli
