#include "operator/api/decode.h"

#include <utility>

#include "operator/api/cel_twins.h"
#include "operator/api/codec.h"
#include "operator/api/codec_throttle.h"
#include "operator/api/crd.h"
#include "operator/api/excerpt.h"
#include "operator/api/json.h"
#include "operator/api/pod_template_rules.h"
#include "operator/api/request_rules.h"
#include "operator/api/risks.h"
#include "operator/api/throttle_rules.h"
#include "operator/api/work_rules.h"
#include "operator/api/yaml_reader.h"

namespace backfill::api {
namespace {

// Everything that can be wrong with one version of an object. Fills in defaults.
void Judge(Node& root, Problems& problems) {
  const Schema& schema = BackfillCrd().schema;
  Validate(schema, root, problems);
  CheckRules(schema, root, problems);
  CheckWork(root, problems);
  CheckRequests(root, problems);
  CheckPodTemplate(root, problems);
  CheckThrottle(root, problems);
}

// Whether this is a Backfill at all. If not, its fields are none of our business.
bool IsBackfill(const Node& root, Problems& problems) {
  const Crd& crd = BackfillCrd();
  if (!root.Is(Node::Kind::kMap)) {
    problems.Add(root, "",
                 "this is no Backfill; a file begins with apiVersion: " + crd.api_version);
    return false;
  }
  const Node* kind = root.At("kind", Node::Kind::kString);
  if (kind == nullptr || kind->text == crd.kind) return true;
  problems.Add(*kind, "kind", "must be " + crd.kind + ", is the string " + Excerpt(kind->text));
  return false;
}

Backfill MetadataOf(const kube::Object& object) {
  Backfill backfill;
  backfill.name = object.ref.name;
  backfill.ns = object.ref.ns;
  backfill.uid = object.uid;
  backfill.resource_version = object.resource_version;
  backfill.generation = object.generation;
  backfill.creation_time = object.creation_time;
  backfill.deletion_time = object.deletion_time;
  backfill.finalizers = object.finalizers;
  backfill.annotations = object.annotations;
  backfill.labels = object.labels;
  return backfill;
}

}  // namespace

std::string ToString(const Problem& problem) {
  std::string out = problem.file;
  if (problem.line > 0) {
    out += (out.empty() ? "line " : ":") + std::to_string(problem.line) + ":" +
           std::to_string(problem.column);
  }
  if (!out.empty()) out += ": ";
  if (!problem.path.empty()) out += problem.path + ": ";
  return out + problem.message;
}

Decoded DecodeBackfill(std::string_view text, const std::string& file) {
  Decoded decoded;
  Problems problems, risks;
  std::optional<Node> root = ReadYaml(text, problems);
  if (root && IsBackfill(*root, problems)) {
    root->Remove("status");  // of a file that was printed from a store
    Judge(*root, problems);
    FindRisks(*root, text.size(), risks);
  }
  if (root && problems.empty()) {
    Backfill backfill = ReadBackfill(*root);
    backfill.uid.clear();
    backfill.resource_version.clear();
    backfill.creation_time.clear();
    backfill.deletion_time.clear();
    backfill.finalizers.clear();
    backfill.generation = 0;
    backfill.status = Status{};
    decoded.backfill = std::move(backfill);
  }
  decoded.problems = problems.Take(file, text);
  decoded.warnings = risks.Take(file, text);
  return decoded;
}

std::vector<Problem> ValidateChange(const Backfill& current, const Backfill& next) {
  Problems problems;
  CheckTransition(BackfillCrd().schema, WriteBackfill(next), WriteBackfill(current), problems);
  return problems.Take("", "");
}

Result<Override> DecodeOverride(std::string_view json) {
  const Schema& schema =
      *BackfillCrd().schema.Property("spec")->Property("throttle")->Property("override");
  Node override = TRY(ParseJsonObject(json));
  Problems problems;
  Validate(schema, override, problems);
  CheckOverride(override, "", problems);
  if (!problems.empty()) return Error{ErrorCode::kInvalid, ToString(problems.Take("", "").front())};
  Override read = ReadOverride(override);
  // Whoever may write an annotation was not asked for the right to.
  if (read.break_glass)
    return Error{ErrorCode::kInvalid, "breakGlass: is of spec.throttle.override alone"};
  return read;
}

Result<Backfill> FromObject(const kube::Object& object) {
  Backfill backfill = MetadataOf(object);
  const std::string doing = "reading Backfill " + object.ref.ns + "/" + object.ref.name;
  auto content = ParseJsonObject(object.content);
  if (!content.ok()) return content.error().Annotate("content").Annotate(doing);
  Node root = WriteBackfill(backfill);
  root.Remove("spec");
  for (Member& member : content->members) {
    if (root.Find(member.key) != nullptr) {
      return Error{ErrorCode::kInvalid,
                   doing + ": content: has a " + member.key + ", which stands beside it"};
    }
    root.members.push_back(std::move(member));
  }
  if (!object.status.empty()) {
    auto status = ParseJsonObject(object.status);
    if (!status.ok()) return status.error().Annotate("status").Annotate(doing);
    root.Add("status", std::move(status).value());
  }

  Problems problems;
  Judge(root, problems);
  if (!problems.empty()) {
    const Problem first = problems.Take("", "").front();
    return Error{ErrorCode::kInvalid, doing + ": " + ToString(first)};
  }
  const Backfill read = ReadBackfill(root);
  backfill.spec = read.spec;
  backfill.status = read.status;
  return backfill;
}

Backfill HeadFromObject(const kube::Object& object) {
  Backfill backfill = MetadataOf(object);
  auto status = ParseJsonObject(object.status);
  if (!status.ok()) return backfill;
  Problems problems;
  Validate(*BackfillCrd().schema.Property("status"), *status, problems);
  if (problems.empty()) backfill.status = ReadStatus(*status);
  return backfill;
}

}  // namespace backfill::api
