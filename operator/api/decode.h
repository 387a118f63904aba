#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "operator/api/backfill.h"
#include "operator/api/conditions.h"
#include "operator/kube/object_store.h"

// From text to a valid Backfill and back. Thread-safe (no state).
//
// text (YAML or JSON) -> tree with positions -> schema (structure, types, defaults, limits; from
// the CRD file that is embedded at build time) -> rules (what the schema cannot say) -> typed
// struct. All problems are reported, not the first.
namespace backfill::api {

// One problem of a file. Lines and columns count from 1; 0: not from a file.
struct Problem {
  std::string file;
  int line = 0;
  int column = 0;
  std::string path;     // spec.target.http.url
  std::string message;  // what is wrong, what is allowed, what to do
  bool operator==(const Problem&) const = default;
};

// reprice.yaml:12:9: spec.workers.replicas: must be at least 1, is 0
std::string ToString(const Problem& problem);

struct Decoded {
  // Set when there is no problem. uid, versions and status are empty.
  std::optional<Backfill> backfill;
  std::vector<Problem> problems;  // ordered by line
  std::vector<Problem> warnings;  // risks; they refuse nothing
};

// Decodes one document. `file` is used in problems only. Without a namespace in the file there is
// none in the Backfill: whoever reads it knows the default. Bounds: 3 MiB of text, depth 64,
// 100,000 nodes; 100 problems, the last says how many more there are.
Decoded DecodeBackfill(std::string_view text, const std::string& file);

// What may not change between `current`, which the store has, and `next`. Empty: the change is
// allowed. Planned: current.status.plan is set; ended: condition Succeeded is not Unknown.
std::vector<Problem> ValidateChange(const Backfill& current, const Backfill& next);

// Of the annotation kOverrideAnnotation: JSON as of spec.throttle.override. The error names the
// field.
Result<Override> DecodeOverride(std::string_view json);

// To and from the store's object. The error names the field.
Result<Backfill> FromObject(const kube::Object& object);
// Of one that cannot be read as a whole: who it is, and what of its status can be read.
Backfill HeadFromObject(const kube::Object& object);
kube::Object ToObject(const Backfill& backfill);  // status included
std::string StatusToJson(const Status& status);

// The whole object as kubectl prints it (apiVersion, kind, metadata, spec with defaults, status);
// two spaces an indent.
std::string ToJson(const Backfill& backfill);
std::string ToYaml(const Backfill& backfill);

// The work-defining part of the spec (source, target, sharding) as canonical JSON: sorted keys, no
// blanks, defaults filled in. Equal work gives equal bytes on any machine.
std::string CanonicalWork(const Spec& spec);

}  // namespace backfill::api
