#include "tests/operator/kube/cluster/follower.h"

#include <utility>

#include "operator/kube/cache/kinds.h"
#include "tests/e2e/process.h"
#include "tests/operator/kube/cluster/config_maps.h"

namespace backfill::kube {
namespace {

using namespace std::chrono_literals;

constexpr Resource kConfigMapMeta{.type = kConfigMaps, .decode = DecodeMetaOnly};

InformerOptions OptionsOf(const std::string& ns) {
  InformerOptions options;
  options.selection = {.ns = ns, .labels = kMadeHere, .fields = "", .metadata_only = false};
  options.watcher.min_watch_seconds = 1;
  options.watcher.max_watch_seconds = Follower::kLongestWatchSeconds;
  options.watcher.grace = Follower::kGrace;
  options.watcher.first_wait = 50ms;
  options.watcher.longest_wait = 400ms;
  options.watcher.short_watch = 300ms;
  options.page_deadline = 20s;
  return options;
}

}  // namespace

void HeldToOrder::OnDelta(const Delta& delta) {
  MutexLock l(mu_);
  Judge(delta);
  const ObjectMeta& meta = delta.object->meta;
  switch (delta.type) {
    case DeltaType::kAdded:
      ++came_[meta.name];
      [[fallthrough]];
    case DeltaType::kUpdated:
      there_[meta.name] = {.uid = meta.uid, .version = meta.resource_version};
      break;
    case DeltaType::kDeleted:
      ++went_[meta.name];
      there_.erase(meta.name);
      break;
  }
}

void HeldToOrder::Judge(const Delta& delta) {
  const ObjectMeta& meta = delta.object->meta;
  const auto before = there_.find(meta.name);
  const std::string what = meta.name + " at " + meta.resource_version;
  if (delta.type == DeltaType::kAdded) {
    if (before != there_.end()) wrong_.push_back(what + " came while it was there");
    return;
  }
  if (before == there_.end()) {
    wrong_.push_back(what + " changed or went while it was not there");
  } else if (before->second.uid != meta.uid) {
    wrong_.push_back(what + " is another object of the same name");
  } else if (delta.type == DeltaType::kUpdated && before->second.version == meta.resource_version) {
    wrong_.push_back(what + " was told twice");
  } else if (delta.old == nullptr || delta.old->meta.resource_version != before->second.version) {
    wrong_.push_back(what + " does not follow what was told before");
  }
}

std::vector<std::string> HeldToOrder::Wrong() {
  MutexLock l(mu_);
  return wrong_;
}

int HeldToOrder::Came(const std::string& name) {
  MutexLock l(mu_);
  return came_[name];
}

int HeldToOrder::Went(const std::string& name) {
  MutexLock l(mu_);
  return went_[name];
}

Follower::Follower(std::unique_ptr<RestTransport> transport, const Clock& clock,
                   const std::string& ns)
    : transport_(std::move(transport)),
      informer_(*transport_, clock, kConfigMapMeta, cache_, OptionsOf(ns)) {
  cache_.AddListener(&told_);
  informer_.Start();
}

std::map<std::string, std::string> Follower::Knows() const {
  std::map<std::string, std::string> versions;
  for (const ApiObjectPtr& object : cache_.List())
    versions[object->meta.name] = object->meta.resource_version;
  return versions;
}

bool Follower::ComesToKnow(const std::map<std::string, std::string>& objects,
                           Duration within) const {
  return e2e::TimeUntil(within, [&] { return synced() && Knows() == objects; }).has_value();
}

}  // namespace backfill::kube
