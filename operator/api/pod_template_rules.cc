#include "operator/api/pod_template_rules.h"

#include <algorithm>
#include <array>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "operator/api/excerpt.h"
#include "operator/api/json.h"
#include "operator/api/worker_pod.h"

namespace backfill::api {
namespace {

using Kind = Node::Kind;

constexpr int kMaxDepth = 24;

bool IsOurs(std::string_view key) {
  static constexpr std::array kLabels = {"app.kubernetes.io/name",
                                         "app.kubernetes.io/component",
                                         "app.kubernetes.io/managed-by",
                                         "app.kubernetes.io/part-of",
                                         "controller-uid",
                                         "job-name"};
  const std::string_view domain = key.substr(0, key.find('/'));
  return domain == "backfill.dev" || domain.ends_with(".backfill.dev") ||
         domain == "batch.kubernetes.io" || std::ranges::count(kLabels, key) > 0;
}

class Checker {
 public:
  explicit Checker(Problems& problems) : problems_(problems) {}

  void CheckMetadata(const Node& metadata, const std::string& path) {
    for (const char* kind : {"labels", "annotations"}) {
      const Node* map = metadata.At(kind, Kind::kMap);
      if (map == nullptr) continue;
      for (const Member& member : map->members) {
        if (!IsOurs(member.key)) continue;
        problems_.Add(member.line, member.column, Join(Join(path, kind), member.key),
                      "is set by the product, which finds its pods by it; leave it out, or use a "
                      "name of your own");
      }
    }
  }

  void CheckSpec(const Node& spec, const std::string& path) {
    Refuse(spec, path, "restartPolicy",
           "must be left out: workers are started again by their Job, which counts how they end");
    Refuse(spec, path, "activeDeadlineSeconds",
           "must be left out: it would end workers that are at work; pause the backfill instead");
    for (const char* list : {"containers", "initContainers"}) {
      ForEach(spec, path, list, "name", [this, list](const Node& container, const std::string& at) {
        CheckContainer(container, at, std::string_view(list) == "containers");
      });
    }
    ForEach(spec, path, "volumes", "name", [this](const Node& volume, const std::string& at) {
      if (TextOf(volume, "name") == kIdentityVolume) {
        problems_.Add(volume, at,
                      "is the product's: workers show by it who they are; name the volume "
                      "differently");
      }
    });
    ForEach(spec, path, "imagePullSecrets", "name", {});
    ForEach(spec, path, "hostAliases", "ip", {});
    ForEach(spec, path, "topologySpreadConstraints", "topologyKey", {});
    ForEach(spec, path, "resourceClaims", "name", {});
    ForEach(spec, path, "schedulingGates", "name", {});
  }

  // What a document cannot say in one way, and what a patch would take as an order.
  void CheckValue(const Node& node, const std::string& path, int depth) {
    if (depth > kMaxDepth) {
      problems_.Add(node, path, "is nested too deeply");
      return;
    }
    if (node.Is(Kind::kNull)) {
      problems_.Add(node, path, "has no value; give one, or leave the line out");
    } else if (node.Is(Kind::kAmbiguous)) {
      problems_.Add(node, path,
                    "is " + Excerpt(node.text) +
                        ", which programs read in different ways; put it in quotes, or write it as "
                        "a plain decimal number");
    }
    for (std::size_t i = 0; i < node.items.size(); ++i)
      CheckValue(node.items[i], JoinIndex(path, i), depth + 1);
    for (const Member& member : node.members) {
      if (member.key.starts_with('$')) {
        problems_.Add(member.line, member.column, Join(path, member.key),
                      "is an order to a patch, which is not taken here; write what the pods are to "
                      "have");
      }
      CheckValue(member.value, Join(path, member.key), depth + 1);
    }
  }

 private:
  using CheckItem = std::function<void(const Node&, const std::string&)>;

  static std::string TextOf(const Node& map, std::string_view key) {
    const Node* text = map.At(key, Kind::kString);
    return text == nullptr ? "" : text->text;
  }

  void Refuse(const Node& map, const std::string& path, const std::string& key,
              const std::string& why) {
    if (const Node* value = map.Find(key)) problems_.Add(*value, Join(path, key), why);
  }

  // Of a list that is merged by one member of its items.
  void ForEach(const Node& map, const std::string& path, const std::string& list,
               const std::string& key, const CheckItem& check) {
    const Node* node = map.Find(list);
    if (node == nullptr || node->Is(Kind::kNull)) return;
    const std::string at = Join(path, list);
    if (!node->Is(Kind::kList)) {
      problems_.Add(*node, at, "must be a list");
      return;
    }
    std::set<std::string> seen;
    for (std::size_t i = 0; i < node->items.size(); ++i) {
      const Node& item = node->items[i];
      const std::string where = JoinIndex(at, i);
      if (!item.Is(Kind::kMap)) {
        problems_.Add(item, where, "must be a map");
        continue;
      }
      const std::string name = TextOf(item, key);
      if (name.empty()) {
        problems_.Add(item, Join(where, key),
                      "is missing; it says what the entry is laid over, so it must be a string");
      } else if (!seen.insert(name).second) {
        problems_.Add(item, where, "the " + key + " " + Excerpt(name) + " stands twice");
      }
      if (check) check(item, where);
    }
  }

  void CheckContainer(const Node& container, const std::string& path, bool may_be_worker) {
    const bool worker = TextOf(container, "name") == kWorkerContainer;
    if (worker && !may_be_worker) {
      problems_.Add(container, path,
                    "worker is the name of the container that sends; choose another");
    }
    if (worker) {
      for (const char* key : {"command", "args"}) {
        Refuse(container, path, key,
               "must be left out: the image says what a worker runs; set image to use another");
      }
    }
    ForEach(container, path, "env", "name",
            [this, worker](const Node& variable, const std::string& at) {
              if (!worker || std::ranges::count(kWorkerVariables, TextOf(variable, "name")) == 0)
                return;
              problems_.Add(variable, at,
                            "is set by the product, which tells workers by it who they are; leave "
                            "it out");
            });
    ForEach(container, path, "volumeMounts", "mountPath",
            [this](const Node& mount, const std::string& at) {
              const std::string where = TextOf(mount, "mountPath");
              if (TextOf(mount, "name") == kIdentityVolume || where == kIdentityPath ||
                  where.starts_with(std::string(kIdentityPath) + "/")) {
                problems_.Add(mount, at,
                              "is the product's: there workers find who they are; mount elsewhere");
              }
            });
    ForEach(container, path, "volumeDevices", "devicePath", {});
  }

  Problems& problems_;
};

}  // namespace

void CheckPodTemplate(const Node& root, Problems& problems) {
  const std::string path = "spec.workers.template";
  const Node* pods = root.At(path, Kind::kMap);
  if (pods == nullptr) return;
  Checker checker(problems);
  if (const Node* metadata = pods->At("metadata", Kind::kMap))
    checker.CheckMetadata(*metadata, Join(path, "metadata"));
  if (const Node* spec = pods->At("spec", Kind::kMap)) {
    checker.CheckValue(*spec, Join(path, "spec"), 0);  // which the schema does not look into
    checker.CheckSpec(*spec, Join(path, "spec"));
  }
  const std::size_t bytes = WriteJson(*pods, -1, MemberOrder::kSorted).size();
  if (bytes > kMaxPodTemplateBytes) {
    problems.Add(*pods, path,
                 "is " + std::to_string(bytes) + " bytes long, and may have " +
                     std::to_string(kMaxPodTemplateBytes) +
                     "; keep what is large in a ConfigMap and mount it");
  }
}

}  // namespace backfill::api
