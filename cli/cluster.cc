#include "cli/cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <nlohmann/json.hpp>
#include <utility>

#include "cli/terminal_text.h"
#include "operator/kube/api_store_objects.h"
#include "operator/kube/client/json_fields.h"
#include "operator/kube/client/query.h"
#include "operator/kube/object_writes.h"

namespace backfill::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto kCallTimeout = 10s;
constexpr Duration kNiceToKnow = 3s;  // what is done without if it takes longer
constexpr Duration kPollPeriod = 2s;
// A refusal that lasts for so long is no blink of an API server that starts.
constexpr Duration kRefusedFor = 30s;
// Before that nobody needs to know.
constexpr Duration kWorthANote = 3s;

constexpr char kViewer[] = "backfill-viewer";
constexpr char kEditor[] = "backfill-editor";

bool IsRefusal(ErrorCode code) {
  return code == ErrorCode::kPermission || code == ErrorCode::kUnauthenticated;
}

Error NotFromHere() {
  return {ErrorCode::kInvalid, "the command line changes nothing on a cluster but annotations"};
}

}  // namespace

Cluster::Cluster(Connection connection, const Clock& clock)
    : connection_(std::move(connection)),
      clock_(clock),
      store_(*connection_.calls, *connection_.watches, clock_,
             {.ns = connection_.facts.ns, .call_timeout = kCallTimeout}),
      client_(*connection_.calls, nullptr, {.field_manager = "backfill-cli"}) {}

Cluster::~Cluster() = default;

kube::CallLimits Cluster::Limits() const { return {.deadline = clock_.Steady() + kCallTimeout}; }

Result<kube::Object> Cluster::Get(const kube::ObjectRef& ref) {
  if (followed_ && ref == followed_ref_) {
    const auto problem = followed_->problem();
    if (problem && IsRefusal(problem->error.code) && clock_.Steady() - problem->since > kRefusedFor)
      return Explain(problem->error, facts(), kViewer);
    return followed_->Get();
  }
  Result<kube::Object> object = store_.Get(ref);
  return object.ok() ? std::move(object) : Explain(object.error(), facts(), kViewer);
}

Result<std::vector<kube::Object>> Cluster::List(std::string_view kind, std::string_view ns) {
  auto objects = store_.List(kind, ns);
  if (objects.ok()) return objects;
  // A list of nothing is empty: what is not found is the kind.
  if (objects.error().code == ErrorCode::kNotFound) return NoSuchKind(facts());
  return Explain(objects.error(), facts(), kViewer);
}

void Cluster::Follow(const kube::ObjectRef& ref) {
  if ((followed_ && ref == followed_ref_) || polled_ == ref) return;
  followed_ref_ = ref;
  followed_ = std::make_unique<FollowedBackfill>(*connection_.watches, clock_, ref);
  polled_.reset();
  if (followed_->Start(kCallTimeout).ok()) return;
  // Whether it is there, and why not, a live read says best.
  followed_.reset();
  polled_ = ref;
}

Result<std::uint64_t> Cluster::WaitForChange(std::uint64_t seen, Time deadline,
                                             std::stop_token stop) {
  if (followed_) return followed_->WaitForChange(seen, deadline);
  // The next look is due then, whenever the caller wants to draw again: a server is not asked four
  // times a second.
  const Time until = std::max(deadline, clock_.Steady() + kPollPeriod);
  std::mutex mu;
  std::condition_variable_any never;
  std::unique_lock lock(mu);
  never.wait_until(lock, stop, until, [] { return false; });
  return seen + 1;
}

std::string Cluster::WatchNote() const {
  if (!followed_) return "";
  const auto problem = followed_->problem();
  if (!problem) return "";
  if (clock_.Steady() - problem->since < kWorthANote) return "";
  // No word of it changes while it lasts: a log gets it once.
  return Printable(fmt::format("as it was at {}: {} cannot be used since then, {}",
                               FormatWallTime(problem->since_wall), ServerText(facts()),
                               problem->error.message));
}

Result<kube::Object> Cluster::PatchAnnotations(
    const kube::ObjectRef& ref, const std::string& version,
    const std::map<std::string, std::optional<std::string>>& annotations) {
  nlohmann::json texts = nlohmann::json::object();
  for (const auto& [name, text] : annotations)
    texts[name] = text ? nlohmann::json(*text) : nlohmann::json(nullptr);
  const nlohmann::json patch{
      {"metadata", {{"resourceVersion", version}, {"annotations", std::move(texts)}}}};
  kube::Query query;
  query.Add("fieldManager", "backfill-cli");
  const kube::StoredKind& kind = *kube::FindStoredKind(ref.kind);
  const auto body =
      client_.Call({.method = kube::HttpMethod::kPatch,
                    .target = query.After(kube::PathOf(kind.type, ref.ns, ref.name)),
                    .content_type = "application/merge-patch+json",
                    .body = patch.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)},
                   "patching " + kube::Describe(ref), Limits());
  if (!body.ok()) return Explain(body.error().ToError(), facts(), kEditor);
  return TRY(kube::ReadStored(kind, std::string_view(*body)).Annotate(kube::Describe(ref))).object;
}

std::string Cluster::UserName() {
  const nlohmann::json review{{"apiVersion", "authentication.k8s.io/v1"},
                              {"kind", "SelfSubjectReview"}};
  const auto body = client_.Call({.method = kube::HttpMethod::kPost,
                                  .target = "/apis/authentication.k8s.io/v1/selfsubjectreviews",
                                  .content_type = "application/json",
                                  .body = review.dump()},
                                 "asking who we are", {.deadline = clock_.Steady() + kNiceToKnow});
  if (!body.ok()) return "";
  const Result<nlohmann::json> answer = kube::ParseJson(*body);
  if (!answer.ok() || !answer->is_object()) return "";
  std::string problem;
  const kube::JsonFields fields(*answer, "", problem);
  return fields.Object("status").Object("userInfo").String("username");
}

Result<kube::Object> Cluster::Create(const kube::Object& /*object*/,
                                     kube::Durability /*durability*/) {
  return NotFromHere();
}
Result<kube::Object> Cluster::Update(const kube::Object& /*object*/,
                                     kube::Durability /*durability*/) {
  return NotFromHere();
}
Result<kube::Object> Cluster::UpdateStatus(const kube::Object& /*object*/,
                                           kube::Durability /*durability*/) {
  return NotFromHere();
}
Status Cluster::Delete(const kube::ObjectRef& /*ref*/, std::string_view /*uid*/) {
  return NotFromHere();
}

}  // namespace backfill::cli
