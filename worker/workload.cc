#include "worker/workload.h"

#include <optional>
#include <utility>

#include "rows/open_source.h"
#include "worker/source/file_source.h"
#include "worker/source/file_terms.h"
#include "worker/source/keys_source.h"
#include "worker/source/range_source.h"
#include "worker/target/dry_run_target.h"
#include "worker/target/partition_template.h"
#include "worker/target/run_target.h"

namespace backfill::worker {
namespace {

RequestTemplate TemplateOf(const v1::HttpRequestTemplate& request) {
  RequestTemplate t{
      .method = request.method(), .url = request.url(), .headers = {}, .body = request.body()};
  for (const v1::Header& h : request.headers()) t.headers.emplace_back(h.name(), h.value());
  t.timeout = std::chrono::milliseconds(request.timeout_ms());
  t.tls = {.ca_file = request.tls().ca_file(),
           .cert_file = request.tls().cert_file(),
           .key_file = request.tls().key_file(),
           .server_name = request.tls().server_name()};
  t.secret_headers = SecretsOf(request.secret_headers());
  return t;
}

OutcomeMap OutcomesOf(const v1::HttpOutcomes& outcomes) {
  const auto codes = [](const auto& list) {
    return std::vector<std::uint32_t>(list.begin(), list.end());
  };
  return OutcomeMap({.updated = codes(outcomes.updated()),
                     .unchanged = codes(outcomes.unchanged()),
                     .skipped = codes(outcomes.skipped()),
                     .transient = codes(outcomes.transient()),
                     .conflict = codes(outcomes.conflict()),
                     .permanent = codes(outcomes.permanent())});
}

// Without the folders, and what may be a secret in a URL.
std::string FileName(const std::string& path_or_url) {
  const std::string path = rows::ShownPath(path_or_url);
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

Result<std::unique_ptr<Source>> FileOf(const v1::FileSource& file,
                                       const std::function<void()>& wake) {
  FileSourceOptions options{
      .format = TRY(FormatOf(file)), .name = FileName(file.path()), .wake = wake};
  if (file.shape().has_stored_bytes()) options.shape.stored_bytes = file.shape().stored_bytes();
  options.shape.columns.assign(file.shape().columns().begin(), file.shape().columns().end());
  return std::unique_ptr<Source>(std::make_unique<FileSource>(
      [path = file.path(), http = HttpOptionsOf(file)](const std::stop_token& stop) {
        return rows::OpenSource(path, http, stop);
      },
      std::move(options)));
}

Result<std::unique_ptr<Source>> SourceOf(const v1::Source& source,
                                         const std::function<void()>& wake) {
  switch (source.kind_case()) {
    case v1::Source::kRange:
      return std::unique_ptr<Source>(std::make_unique<RangeSource>());
    case v1::Source::kKeys: {
      std::vector<std::string> keys(source.keys().keys().begin(), source.keys().keys().end());
      return std::unique_ptr<Source>(
          std::make_unique<KeysSource>(std::move(keys), source.keys().numeric()));
    }
    case v1::Source::kFile:
      return FileOf(source.file(), wake);
    case v1::Source::KIND_NOT_SET:
      break;
  }
  return Error{ErrorCode::kInvalid, "the source is of a kind that this worker does not know"};
}

}  // namespace

Result<Work> MakeWork(const v1::Workload& workload, const std::string& stage,
                      boost::asio::io_context& io, std::uint64_t seed, const Target::Done& done,
                      const std::function<void()>& wake) {
  Work work;
  work.source = TRY(SourceOf(workload.source(), wake));
  const TemplateNames names{.backfill_name = workload.backfill_name(),
                            .backfill_uid = workload.backfill_uid(),
                            .fields = work.source->field_names(),
                            .numeric_keys = work.source->numeric_keys(),
                            .raw_records = work.source->raw_records()};
  if (!workload.partition_by().empty()) {
    work.partition_of =
        TRY(CompilePartitionTemplate(workload.partition_by(), names).Annotate("partitionBy"));
  }
  const HttpSenderOptions options{.batch_size = workload.batch_size(), .seed = seed};
  switch (workload.mode_case()) {
    case v1::Workload::kRunHttp: {
      if (stage != "run")
        return Error{ErrorCode::kInvalid, "a real run was given to a worker of stage " + stage};
      const v1::HttpTarget& http = workload.run_http();
      work.target = TRY(RunTarget::Create(io, TemplateOf(http.request()), names,
                                          OutcomesOf(http.outcomes()), options, done));
      return work;
    }
    case v1::Workload::kDryRunHttp: {
      if (stage != "dry-run")
        return Error{ErrorCode::kInvalid, "a dry run was given to a worker of stage " + stage};
      const v1::HttpDryRun& http = workload.dry_run_http();
      std::optional<DryRunTarget::Probe> probe;
      if (http.has_probe()) {
        probe = DryRunTarget::Probe{TemplateOf(http.probe().request()),
                                    http.probe().declared_without_side_effects()
                                        ? DeclaredEffects::kNone
                                        : DeclaredEffects::kUnknown};
      }
      work.target = TRY(DryRunTarget::Create(io, TemplateOf(http.sample()), probe, names,
                                             OutcomesOf(http.outcomes()), options, done));
      return work;
    }
    case v1::Workload::kPlan:
      return Error{ErrorCode::kInvalid, "a planning was given to a worker of stage " + stage};
    case v1::Workload::MODE_NOT_SET:
      break;
  }
  return Error{ErrorCode::kInvalid, "the target is of a kind that this worker does not know"};
}

}  // namespace backfill::worker
