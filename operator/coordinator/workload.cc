#include "operator/coordinator/workload.h"

#include "backfill/v1/workload.pb.h"
#include "operator/api/template_fields.h"
#include "operator/reconcile/file_format.h"

namespace backfill::coordinator {
namespace {

void SetHeaders(const std::map<std::string, std::string>& headers, v1::HttpRequestTemplate& out) {
  for (const auto& [name, value] : headers) {
    v1::Header* header = out.add_headers();
    header->set_name(name);
    header->set_value(value);
  }
}

// Of a source (api::FileSource, v1::FileSource) or a target.
template <typename From, typename To>
void SetCredentials(const From& from, To& out) {
  for (const api::SecretHeader& header : from.secret_headers) {
    v1::SecretHeader& secret = *out.add_secret_headers();
    secret.set_name(header.name);
    secret.set_prefix(header.prefix);
    secret.set_file(header.file);
    secret.set_env(header.env);
    secret.set_base64(header.encode == api::SecretEncoding::kBase64);
  }
  if (!from.tls) return;
  v1::HttpTls& tls = *out.mutable_tls();
  tls.set_ca_file(from.tls->ca_file);
  tls.set_cert_file(from.tls->cert_file);
  tls.set_key_file(from.tls->key_file);
  tls.set_server_name(from.tls->server_name);
}

// What the run's request and that of the dry run have in common.
void SetConnection(const api::HttpTarget& target, v1::HttpRequestTemplate& out) {
  out.set_timeout_ms(static_cast<std::uint32_t>(target.timeout.count()));
  SetCredentials(target, out);
}

void SetRequest(const api::HttpTarget& target, v1::HttpRequestTemplate& out) {
  out.set_method(target.method);
  out.set_url(target.url);
  SetHeaders(target.headers, out);
  out.set_body(target.body);
  SetConnection(target, out);
}

void SetProbe(const api::HttpDryRun& dry_run, const api::HttpTarget& target, v1::HttpProbe& out) {
  v1::HttpRequestTemplate& request = *out.mutable_request();
  request.set_method(dry_run.method);
  request.set_url(dry_run.url);
  SetHeaders(dry_run.headers, request);
  request.set_body(dry_run.body);
  SetConnection(target, request);
  out.set_declared_without_side_effects(dry_run.side_effects == api::SideEffects::kNone);
}

void SetOutcomes(const api::HttpOutcomes& outcomes, v1::HttpOutcomes& out) {
  for (const int code : outcomes.updated) out.add_updated(static_cast<std::uint32_t>(code));
  for (const int code : outcomes.unchanged) out.add_unchanged(static_cast<std::uint32_t>(code));
  for (const int code : outcomes.skipped) out.add_skipped(static_cast<std::uint32_t>(code));
  for (const int code : outcomes.transient) out.add_transient(static_cast<std::uint32_t>(code));
  for (const int code : outcomes.conflict) out.add_conflict(static_cast<std::uint32_t>(code));
  for (const int code : outcomes.permanent) out.add_permanent(static_cast<std::uint32_t>(code));
}

v1::FileFormat ToFormat(rows::Format format) {
  switch (format) {
    case rows::Format::kLines:
      return v1::FILE_FORMAT_LINES;
    case rows::Format::kCsv:
      return v1::FILE_FORMAT_CSV;
    case rows::Format::kNdJson:
      return v1::FILE_FORMAT_NDJSON;
  }
  return v1::FILE_FORMAT_UNSPECIFIED;
}

struct SetSource {
  const api::Spec& spec;
  const rows::FileShape* shape;
  v1::Source& out;
  void operator()(const api::RangeSource&) const { out.mutable_range(); }
  void operator()(const api::KeysSource& source) const {
    for (const std::string& key : source.keys) out.mutable_keys()->add_keys(key);
    if (source.numeric) out.mutable_keys()->set_numeric(true);
  }
  // A stage is opened with the keys that it means; a worker refuses what has no source.
  void operator()(const api::FailuresOfSource&) const {}
  void operator()(const api::FileSource& source) const {
    const rows::FileFormat format = reconcile::FormatOf(source, spec);
    v1::FileSource& file = *out.mutable_file();
    file.set_path(source.path);
    file.set_format(ToFormat(format.format));
    file.set_key(format.key);
    file.set_delimiter(std::string(1, format.delimiter));
    for (const std::string& field : format.fields) file.add_fields(field);
    SetCredentials(source, file);
    if (shape == nullptr) return;
    if (shape->stored_bytes) file.mutable_shape()->set_stored_bytes(*shape->stored_bytes);
    for (const std::string& column : shape->columns) file.mutable_shape()->add_columns(column);
  }
};

void SetPlan(const api::Spec& spec, v1::PlanWork& out) {
  // Only what the plan depends on: if that is edited, what is being read is of no use.
  if (spec.sharding) {
    out.set_records_per_shard(static_cast<std::uint64_t>(spec.sharding->records_per_shard));
  } else {
    out.set_workers(static_cast<std::uint32_t>(spec.workers.replicas));
  }
  for (const api::TemplateField& field : api::TemplateFields(spec)) {
    v1::NeededField& needed = *out.add_needed();
    needed.set_name(field.name);
    needed.set_place(field.place);
  }
}

}  // namespace

v1::Workload MakeWorkload(const api::Backfill& backfill, reconcile::Stage stage,
                          const rows::FileShape* shape) {
  v1::Workload out;
  out.set_backfill_name(backfill.name);
  out.set_backfill_namespace(backfill.ns);
  out.set_backfill_uid(backfill.uid);
  std::visit(SetSource{backfill.spec, shape, *out.mutable_source()}, backfill.spec.source);
  if (stage != reconcile::Stage::kPlan)
    out.set_batch_size(static_cast<std::uint32_t>(backfill.spec.workers.batch_size));
  const api::HttpTarget& target = backfill.spec.target;
  // Where nothing is sent there is nothing to cap.
  const bool sends = stage == reconcile::Stage::kRun ||
                     (stage == reconcile::Stage::kDryRun && target.dry_run.has_value());
  if (sends) out.set_partition_by(backfill.spec.throttle.partition_by);
  switch (stage) {
    case reconcile::Stage::kPlan:
      SetPlan(backfill.spec, *out.mutable_plan());
      break;
    case reconcile::Stage::kRun: {
      v1::HttpTarget& run = *out.mutable_run_http();
      SetRequest(target, *run.mutable_request());
      SetOutcomes(target.outcomes, *run.mutable_outcomes());
      break;
    }
    case reconcile::Stage::kDryRun: {
      v1::HttpDryRun& dry_run = *out.mutable_dry_run_http();
      SetRequest(target, *dry_run.mutable_sample());
      if (target.dry_run) SetProbe(*target.dry_run, target, *dry_run.mutable_probe());
      SetOutcomes(target.outcomes, *dry_run.mutable_outcomes());
      break;
    }
  }
  return out;
}

}  // namespace backfill::coordinator
