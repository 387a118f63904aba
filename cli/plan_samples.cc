#include "cli/plan_samples.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <variant>

#include "base/range.h"
#include "operator/reconcile/file_format.h"
#include "rows/open_source.h"
#include "rows/shard_reader.h"
#include "worker/target/renderer.h"

namespace backfill::cli {
namespace {

constexpr std::size_t kMostSamples = 3;
constexpr std::size_t kMaxSampleBytes = 2048;

constexpr std::size_t kMostBytes = std::size_t{4} << 20;  // of the rows that are looked at
constexpr std::size_t kMostShards = 4;                    // likewise

struct FirstRecords {
  std::vector<worker::Record> records = {};
  std::vector<std::string> field_names = {};
  bool raw = false;
};

// Bad rows are no requests; where all rows at the front are bad there is no sample.
Result<FirstRecords> ReadFirst(const api::FileSource& file, const api::Spec& spec,
                               const plan::Plan& plan, std::size_t most) {
  const auto source = TRY(rows::OpenSource(file.path, reconcile::HttpOptionsOf(file), {}));
  const auto reader =
      TRY(rows::ShardReader::Open(*source, reconcile::FormatOf(file, spec),
                                  plan.file ? plan.file->shape : rows::FileShape{}, {}));
  FirstRecords first{.field_names = reader->field_names(),
                     .raw = file.format == api::FileFormat::kNdJson};
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < std::min(kMostShards, plan.shards.size()); ++i) {
    if (!plan.shards[i].extent) break;
    rows::LoadedShard shard = TRY(reader->Load(*plan.shards[i].extent, {}));
    while (const rows::Record* row = TRY(shard.Next())) {
      if (row->fault != rows::Fault::kNone) continue;
      worker::Record& record = first.records.emplace_back();
      record.position = row->position;
      record.key = row->key;
      record.fields.assign(row->fields.begin(), row->fields.end());
      record.raw = row->raw;
      bytes += record.key.size() + record.raw.size();
      for (const std::string& field : record.fields) bytes += field.size();
      if (first.records.size() == most || bytes >= kMostBytes) return first;
    }
  }
  return first;
}

// The first records of a source, as a worker would read them.
struct FirstRecordsOf {
  const api::Spec& spec;
  const plan::Plan& plan;
  std::size_t most;

  Result<FirstRecords> operator()(const api::RangeSource& source) const {
    const auto there = Range{source.start, source.end}.size();
    FirstRecords first;
    for (std::uint64_t i = 0; i < std::min<std::uint64_t>(most, there); ++i) {
      const Position position = Advance(source.start, i);
      first.records.push_back({.position = position, .key = std::to_string(position)});
    }
    return first;
  }
  Result<FirstRecords> operator()(const api::KeysSource& source) const {
    FirstRecords first;
    for (std::size_t i = 0; i < std::min(most, source.keys.size()); ++i)
      first.records.push_back({.position = static_cast<Position>(i), .key = source.keys[i]});
    return first;
  }
  Result<FirstRecords> operator()(const api::FailuresOfSource&) const { return FirstRecords{}; }
  Result<FirstRecords> operator()(const api::FileSource& source) const {
    return ReadFirst(source, spec, plan, most);
  }
};

bool HasNumericKeys(const api::Source& source) {
  const auto* keys = std::get_if<api::KeysSource>(&source);
  return keys != nullptr ? keys->numeric : std::holds_alternative<api::RangeSource>(source);
}

worker::RequestTemplate TemplateOf(const api::HttpTarget& target) {
  worker::RequestTemplate request{
      .method = target.method, .url = target.url, .headers = {}, .body = target.body};
  for (const auto& [name, value] : target.headers) request.headers.emplace_back(name, value);
  for (const api::SecretHeader& header : target.secret_headers)
    request.secret_headers.push_back({.name = header.name});
  request.timeout = target.timeout;
  return request;
}

}  // namespace

Result<std::vector<RequestSample>> SampleRequests(const std::string& name, const api::Spec& spec,
                                                  const plan::Plan& plan) {
  const auto batch = static_cast<std::size_t>(std::max(1, spec.workers.batch_size));
  const FirstRecords first =
      TRY(std::visit(FirstRecordsOf{spec, plan, batch > 1 ? batch : kMostSamples}, spec.source));
  const worker::TemplateNames names{.backfill_name = name,
                                    .backfill_uid = kUnknownUid,
                                    .fields = first.field_names,
                                    .numeric_keys = HasNumericKeys(spec.source),
                                    .raw_records = first.raw};
  const auto renderer =
      TRY(worker::Renderer::Compile(TemplateOf(spec.target), names).Annotate("spec.target.http"));
  std::vector<RequestSample> samples;
  const auto add = [&](const std::vector<worker::Record>& of) {
    samples.push_back({of.front().key, renderer.Describe(of, kMaxSampleBytes)});
  };
  if (batch > 1) {
    if (!first.records.empty()) add(first.records);
    return samples;
  }
  for (const worker::Record& record : first.records) add({record});
  return samples;
}

}  // namespace backfill::cli
