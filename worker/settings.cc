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

// nullopt: not set.
Result<std::optional<int>> Descriptor(const Environment& environment, const char* name) {
  const auto text = environment(name);
  if (!text || text->empty()) return std::optional<int>();
  int number = -1;
  const auto [end, ec] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (ec != std::errc() || end != text->data() + text->size() || number < 0) {
    return Error{ErrorCode::kInvalid, std::string(name) + " is not a file descriptor"};
  }
  return std::optional<int>(number);
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
  s.lifeline_fd = TRY(Descriptor(environment, "BACKFILL_LIFELINE_FD"));
  s.sent_fd = TRY(Descriptor(environment, "BACKFILL_SENT_FD"));
  return s;
}

}  // namespace backfill::worker
