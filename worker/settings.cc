#include "worker/settings.h"

#include <charconv>
#include <utility>

#include "base/digest.h"

namespace backfill::worker {
namespace {

Result<std::string> Required(const Environment& environment, const char* name) {
  auto value = environment(name);
  if (!value || value->empty())
    return Error{ErrorCode::kInvalid, std::string(name) + " is not set"};
  return std::move(*value);
}

}  // namespace

Result<Settings> ReadSettings(const Environment& environment) {
  Settings s;
  s.coordinator = TRY(Required(environment, "BACKFILL_COORDINATOR"));
  s.token = TRY(Required(environment, "BACKFILL_TOKEN"));
  s.uid = TRY(Required(environment, "BACKFILL_UID"));
  s.stage = TRY(Required(environment, "BACKFILL_STAGE"));
  s.worker = TRY(Required(environment, "BACKFILL_WORKER"));
  s.instance = environment("BACKFILL_INSTANCE").value_or("");
  if (s.instance.empty()) s.instance = RandomHex(8);
  if (s.stage != "run" && s.stage != "dry-run") {
    return Error{ErrorCode::kInvalid, "BACKFILL_STAGE is neither \"run\" nor \"dry-run\""};
  }
  if (const auto fd = environment("BACKFILL_LIFELINE_FD"); fd && !fd->empty()) {
    int number = -1;
    const auto [end, ec] = std::from_chars(fd->data(), fd->data() + fd->size(), number);
    if (ec != std::errc() || end != fd->data() + fd->size() || number < 0) {
      return Error{ErrorCode::kInvalid, "BACKFILL_LIFELINE_FD is not a file descriptor"};
    }
    s.lifeline_fd = number;
  }
  return s;
}

}  // namespace backfill::worker
