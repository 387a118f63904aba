#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "operator/kube/cache/kinds.h"
#include "operator/kube/cache/object_cache.h"
#include "operator/kube/cache/watcher.h"
#include "operator/kube/client/wire.h"
#include "tests/fuzz/feedback.h"
#include "tests/fuzz/script.h"

// Whatever happens to a watcher, in any order: what it asks for makes sense, and what the cache
// tells its listeners adds up to what it has. And whatever an API server says of Jobs and pods.
namespace backfill::fuzz {
namespace {

using namespace kube;

// As a listener that believes all it is told sees the world.
class Believer final : public CacheListener {
 public:
  void OnDelta(const Delta& delta) override {
    const ObjectKey key = delta.object->meta.key();
    const auto it = known_.find(key);
    const ApiObjectPtr known = it == known_.end() ? nullptr : it->second;
    Require(known == delta.old, "a change is one of what was told before");
    Require(delta.old == nullptr || delta.old->meta.uid == delta.object->meta.uid,
            "an object stays itself");
    if (delta.type == DeltaType::kDeleted) {
      known_.erase(key);
    } else {
      known_[key] = delta.object;
    }
  }
  [[nodiscard]] std::vector<ApiObjectPtr> Known() const {
    std::vector<ApiObjectPtr> all;
    for (const auto& [key, object] : known_) all.push_back(object);
    return all;
  }

 private:
  std::map<ObjectKey, ApiObjectPtr> known_;
};

class History {
 public:
  explicit History(std::string_view bytes) : script_(bytes) { cache_.AddListener(&believer_); }

  void Run() {
    Feed(Begin{});
    while (!script_.ended()) {
      now_ += std::chrono::milliseconds(script_.Byte() * 50);
      Feed(Any());
    }
  }

 private:
  std::string Version() {
    switch (script_.Below(4)) {
      case 0:
        return std::to_string(script_.Byte());
      case 1:
        return std::to_string(++version_);
      case 2:
        return std::string(script_.Text().substr(0, 4));
      default:
        return "";
    }
  }
  ApiObjectPtr AnyObject() {
    auto object = std::make_shared<ApiObject>();
    object->meta.ns = std::string(1, static_cast<char>('x' + script_.Below(2)));
    object->meta.name = std::string(1, static_cast<char>('a' + script_.Below(3)));
    object->meta.uid = std::to_string(script_.Below(3));
    object->meta.labels["l"] = std::to_string(script_.Below(2));
    object->meta.resource_version = Version();
    return object;
  }
  ApiError AnyError() {
    ApiError error;
    error.kind = static_cast<ApiErrorKind>(script_.Below(13));
    if (script_.Flip()) error.retry_after = std::chrono::seconds(script_.Byte() * 10);
    return error;
  }
  ListPage AnyPage() {
    ListPage page;
    for (int n = script_.Below(5); n > 0; --n) page.items.push_back(AnyObject());
    if (script_.Flip()) page.unreadable.push_back(AnyObject()->meta.key());
    page.broken = page.unreadable.size();
    page.resource_version = Version();
    if (script_.Below(3) == 0) page.next = std::to_string(script_.Byte());
    return page;
  }
  WatcherInput Any() {
    switch (script_.Below(8)) {
      case 0:
        return PageArrived{AnyPage()};
      case 1:
        return ListFailed{AnyError()};
      case 2:
        return StreamEnded{script_.Flip() ? std::optional(AnyError()) : std::nullopt};
      case 3:
        if (const auto* wait = std::get_if<WaitUntil>(&action_)) now_ = std::max(now_, wait->at);
        return TimerDue{};
      case 4:
        return EventArrived{Bookmark{.resource_version = Version(), .initial_events_end = false}};
      case 5:
        return EventArrived{Broken{.problem = "x", .resource_version = Version()}};
      case 6:
        return EventArrived{AnyError()};
      default:
        return EventArrived{
            Change{.type = static_cast<ChangeType>(script_.Below(3)), .object = AnyObject()}};
    }
  }

  void Feed(WatcherInput input) {
    const bool watching = std::holds_alternative<StartWatch>(action_);
    const bool news = std::holds_alternative<EventArrived>(input);
    WatcherOutput out = watcher_.Step(std::move(input), now_, script_.Byte() / 256.0);
    Require(watching || !news || (out.cache.index() == 0 && !out.action),
            "nobody listens to a watch that is over");
    if (auto* all = std::get_if<ReplaceCache>(&out.cache))
      cache_.Replace(std::move(all->objects), all->version, all->unreadable);
    if (auto* one = std::get_if<ApplyChange>(&out.cache)) cache_.Apply(one->change, one->version);
    if (auto* to = std::get_if<AdvanceVersion>(&out.cache)) cache_.Advance(to->version);
    if (out.action) Check(*out.action);
    if (out.action) action_ = std::move(*out.action);
    Require(cache_.List() == believer_.Known(), "listeners know what is cached");
    Require(cache_.Find("l", "0").size() + cache_.Find("l", "1").size() == cache_.size(),
            "each is in the index once");
  }

  void Check(const WatcherAction& action) {
    if (const auto* wait = std::get_if<WaitUntil>(&action)) {
      Require(wait->at >= now_ && wait->at <= now_ + std::chrono::seconds(61), "waits are bounded");
      Saw("wait");
    } else if (const auto* watch = std::get_if<StartWatch>(&action)) {
      Require(!watch->version.empty(), "a watch is from a version");
      Require(watch->timeout_seconds >= 240 && watch->timeout_seconds <= 290, "R2");
      Saw("watch");
    } else {
      const auto& page = std::get<GetPage>(action);
      Require(page.token.empty() || page.version.empty(), "a token has its own version");
      Saw(page.token.empty() ? (page.version.empty() ? "newest" : page.version) : "page");
    }
  }

  Script script_;
  Time now_{std::chrono::hours(1)};
  int version_ = 100;
  Watcher watcher_{WatcherOptions{}};
  WatcherAction action_;
  Believer believer_;
  ObjectCache cache_{{ByLabel("l", "l")}};
};

void CheckKinds(std::string_view text) {
  if (const auto job = ParseObject(text, &DecodeJob); job.ok()) {
    Require(As<Job>(*job)->parallelism >= 0 && As<Job>(*job)->active >= 0, "counts count");
    Require(As<Job>(*job)->conditions.size() <= 16, "conditions are bounded");
    Saw(As<Job>(*job)->IsFinished() ? "finished job" : "job");
  } else {
    Saw(job.error().message);
  }
  if (const auto pod = ParseObject(text, &DecodePod); pod.ok()) {
    Require(As<Pod>(*pod)->completion_index.value_or(0) >= 0, "indexes count from zero");
    Require((*pod)->meta.labels.empty(), "little is kept");
    Saw(As<Pod>(*pod)->completion_index ? "indexed pod" : "pod");
  }
}

}  // namespace
}  // namespace backfill::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace backfill::fuzz;
  History(View(data, size)).Run();
  CheckKinds(View(data, size));
  return 0;
}
