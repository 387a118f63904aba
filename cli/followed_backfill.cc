#include "cli/followed_backfill.h"

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "operator/kube/api_store_objects.h"
#include "operator/kube/object_writes.h"

namespace backfill::cli {
namespace {

// As the store has it.
struct CachedBackfill final : kube::ApiObject {
  kube::Object object;
};

const kube::StoredKind& BackfillKind() { return *kube::FindStoredKind(kube::kBackfillKind); }

Result<kube::ApiObjectPtr> Decode(const nlohmann::json& json) {
  auto cached = std::make_shared<CachedBackfill>();
  cached->meta = TRY(kube::DecodeMeta(json));
  cached->object = TRY(kube::ReadStored(BackfillKind(), json)).object;
  return kube::ApiObjectPtr(std::move(cached));
}

kube::InformerOptions OptionsFor(const kube::ObjectRef& ref) {
  kube::InformerOptions options;
  options.selection.ns = ref.ns;
  options.selection.fields = "metadata.name=" + ref.name;
  options.page_deadline = std::chrono::seconds(10);  // a page of one object
  // Somebody looks on: what heals is to be seen soon, and one client is no crowd.
  options.watcher.longest_wait = std::chrono::seconds(5);
  options.seed = static_cast<std::uint64_t>(
      std::chrono::steady_clock::now().time_since_epoch().count());  // of the jitter
  return options;
}

}  // namespace

FollowedBackfill::FollowedBackfill(kube::HttpTransport& watches, const Clock& clock,
                                   kube::ObjectRef ref)
    : ref_(std::move(ref)),
      clock_(clock),
      link_(watches, clock),
      informer_(link_, clock, {.type = BackfillKind().type, .decode = Decode}, cache_,
                OptionsFor(ref_)) {
  cache_.AddListener(this);
}

FollowedBackfill::~FollowedBackfill() { informer_.Stop(); }

Status FollowedBackfill::Start(Duration patience) {
  informer_.Start();
  const Time until = clock_.Steady() + patience;
  // A list that fails moves no counter, so it is looked for now and then.
  constexpr Duration kLook = std::chrono::milliseconds(20);
  for (std::uint64_t seen = 0; !cache_.HasSynced();) {
    if (const auto problem = link_.problem()) return problem->error;
    const Time now = clock_.Steady();
    if (now >= until) return Error{ErrorCode::kDeadline, kube::Describe(ref_) + ": no answer"};
    seen = WaitForChange(seen, std::min(now + kLook, until));
  }
  return Ok{};
}

Result<kube::Object> FollowedBackfill::Get() const {
  const kube::ApiObjectPtr found = cache_.Get(ref_.ns, ref_.name);
  if (found == nullptr) return kube::NotFound(ref_);
  return static_cast<const CachedBackfill&>(*found).object;
}

std::uint64_t FollowedBackfill::WaitForChange(std::uint64_t seen, Time deadline) {
  MutexLock l(mu_);
  changed_.wait_until(mu_, deadline, [&]() REQUIRES(mu_) { return count_ != seen; });
  return count_;
}

void FollowedBackfill::OnDelta(const kube::Delta& /*delta*/) { Count(); }
void FollowedBackfill::OnVersion(std::string_view /*version*/) { Count(); }

void FollowedBackfill::Count() {
  {
    MutexLock l(mu_);
    ++count_;
  }
  changed_.notify_all();
}

}  // namespace backfill::cli
