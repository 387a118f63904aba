#include <algorithm>
#include <cctype>
#include <initializer_list>
#include <string_view>

#include "base/utf8.h"
#include "operator/api/codec.h"
#include "operator/api/crd.h"
#include "operator/api/decode.h"
#include "operator/api/json.h"
#include "operator/api/schema.h"
#include "operator/api/yaml_writer.h"

namespace backfill::api {
namespace {

constexpr std::size_t kMaxStatusBytes = 4096;

// To fit, messages give way, then what is only there for columns; never types, reasons, hash,
// progress.
void CutMessages(Node& status, std::size_t bytes) {
  Node* conditions = status.Find("conditions");
  if (conditions == nullptr) return;
  for (Node& condition : conditions->items) {
    if (Node* message = condition.Find("message")) {
      message->text = std::string(CutToBytes(message->text, bytes));
    }
  }
}

// As Kubernetes wants reasons, and times are; it also bounds what escaping can add.
void MakeWords(Node& status) {
  const auto odd = [](unsigned char c) {
    static constexpr std::string_view kSigns = "_:.,+-";
    return std::isalnum(c) == 0 && kSigns.find(static_cast<char>(c)) == kSigns.npos;
  };
  const auto make = [&odd](Node& map, std::initializer_list<const char*> fields) {
    for (const char* field : fields)
      if (Node* word = map.Find(field)) std::ranges::replace_if(word->text, odd, '_');
  };
  if (Node* throttle = status.Find("throttle"))
    make(*throttle,
         {"since", "heldSince", "lastCriticalTime", "glassBrokenUntil", "glassRefusedUntil"});
  if (Node* conditions = status.Find("conditions")) {
    for (Node& condition : conditions->items)
      make(condition, {"type", "reason", "lastTransitionTime"});
  }
}

}  // namespace

std::string StatusToJson(const Status& status) {
  Node node = WriteStatus(status);
  CutToSchema(*BackfillCrd().schema.Property("status"), node);
  MakeWords(node);
  const auto written = [&node] { return WriteJson(node, -1, MemberOrder::kAsGiven); };
  std::string json = written();
  for (const std::size_t bytes : {80U, 40U}) {
    if (json.size() <= kMaxStatusBytes) return json;
    CutMessages(node, bytes);
    json = written();
  }
  if (json.size() <= kMaxStatusBytes) return json;
  // What the governor goes on from stays.
  if (Node* throttle = node.Find("throttle")) {
    for (const char* shown :
         {"budgets", "reason", "nextChange", "bindingBudget", "slowestPartition"})
      throttle->Remove(shown);
  }
  node.Remove("display");
  json = written();
  if (json.size() <= kMaxStatusBytes) return json;
  CutMessages(node, 0);  // all escapes
  return written();
}

kube::Object ToObject(const Backfill& backfill) {
  kube::Object object;
  object.ref = {std::string(kube::kBackfillKind), backfill.ns, backfill.name};
  object.uid = backfill.uid;
  object.resource_version = backfill.resource_version;
  object.generation = backfill.generation;
  object.creation_time = backfill.creation_time;
  object.deletion_time = backfill.deletion_time;
  object.finalizers = backfill.finalizers;
  object.annotations = backfill.annotations;
  object.labels = backfill.labels;
  Node content = Node::Map();
  content.Add("spec", WriteSpec(backfill.spec));
  object.content = WriteJson(content, -1, MemberOrder::kAsGiven);
  object.status = StatusToJson(backfill.status);
  return object;
}

std::string ToJson(const Backfill& backfill) {
  return WriteJson(WriteBackfill(backfill), 2, MemberOrder::kAsGiven) + "\n";
}

std::string ToYaml(const Backfill& backfill) { return WriteYaml(WriteBackfill(backfill)); }

std::string CanonicalWork(const Spec& spec) {
  return WriteJson(WriteWork(spec), -1, MemberOrder::kSorted);
}

}  // namespace backfill::api
