#include "operator/reconcile/pod_overlay.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace backfill::reconcile {
namespace {

using nlohmann::json;

struct MergedList {
  std::string_view path;  // a list's items have no part in it
  const char* key;
};

// `patchMergeKey` of the types in k8s.io/api/core/v1.
constexpr std::array kMergedLists = {
    MergedList{"/spec/containers", "name"},
    MergedList{"/spec/containers/env", "name"},
    MergedList{"/spec/containers/ports", "containerPort"},
    MergedList{"/spec/containers/volumeDevices", "devicePath"},
    MergedList{"/spec/containers/volumeMounts", "mountPath"},
    MergedList{"/spec/hostAliases", "ip"},
    MergedList{"/spec/imagePullSecrets", "name"},
    MergedList{"/spec/initContainers", "name"},
    MergedList{"/spec/initContainers/env", "name"},
    MergedList{"/spec/initContainers/ports", "containerPort"},
    MergedList{"/spec/initContainers/volumeDevices", "devicePath"},
    MergedList{"/spec/initContainers/volumeMounts", "mountPath"},
    MergedList{"/spec/resourceClaims", "name"},
    MergedList{"/spec/schedulingGates", "name"},
    MergedList{"/spec/topologySpreadConstraints", "topologyKey"},
    MergedList{"/spec/volumes", "name"},
};

// Of a list that is replaced as a whole: null.
const char* MergeKeyOf(const std::string& path) {
  const auto* it = std::ranges::find(kMergedLists, path, &MergedList::path);
  return it == kMergedLists.end() ? nullptr : it->key;
}

// A volume, and the environment variable, is one of several things.
bool HasOneSource(const std::string& list) {
  return list == "/spec/volumes" || list.ends_with("ontainers/env");
}

bool SameMembers(const json& a, const json& b) {
  if (a.size() != b.size()) return false;
  return std::ranges::all_of(a.items(), [&b](const auto& item) { return b.contains(item.key()); });
}

void Merge(json& under, const json& over, const std::string& path);

void MergeList(json& under, const json& over, const std::string& path, const char* key) {
  for (const json& item : over) {
    if (!item.is_object() || !item.contains(key)) continue;  // refused where it was read
    const auto same = std::ranges::find_if(under, [&item, key](const json& one) {
      return one.is_object() && one.contains(key) && one[key] == item[key];
    });
    if (same == under.end()) {
      under.push_back(item);
    } else if (HasOneSource(path) && !SameMembers(*same, item)) {
      *same = item;
    } else {
      Merge(*same, item, path);
    }
  }
}

void Merge(json& under, const json& over, const std::string& path) {
  if (over.is_array()) {
    const char* key = MergeKeyOf(path);
    if (key == nullptr || !under.is_array()) {
      under = over;
    } else {
      MergeList(under, over, path, key);
    }
    return;
  }
  if (!over.is_object() || !under.is_object()) {
    under = over;
    return;
  }
  for (const auto& [name, value] : over.items()) {
    if (under.contains(name)) {
      Merge(under[name], value, path + "/" + name);
    } else {
      under[name] = value;
    }
  }
}

}  // namespace

void LayOver(json& pod_template, const json& overlay) { Merge(pod_template, overlay, ""); }

}  // namespace backfill::reconcile
