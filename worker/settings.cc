#include "worker/settings.h"

#include <charconv>
#include <limits>
#include <utility>

#include "base/digest.h"
#include "worker/link/dial.h"

namespace backfill::worker {
namespace {

constexpr int kPools = 6;  // of 3,000 workers

Result<std::string> Required(const Environment& environment, const char* name) {
  auto value = environment(name);
  if (!value || value->empty())
    return Error{ErrorCode::kInvalid, std::string(name) + " is not set"};
  return std::move(*value);
}

// nullopt: not set.
Result<std::optional<int>> Number(const Environment& environment, const char* name,
                                  const char* what, int below) {
  const auto text = environment(name);
  if (!text || text->empty()) return std::optional<int>();
  int number = -1;
  const auto [end, ec] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (ec != std::errc() || end != text->data() + text->size() || number < 0 || number >= below) {
    return Error{ErrorCode::kInvalid, std::string(name) + " is not " + what};
  }
  return std::optional<int>(number);
}

Result<std::optional<int>> Descriptor(const Environment& environment, const char* name) {
  return Number(environment, name, "a file descriptor", std::numeric_limits<int>::max());
}

// As a pool of processes names it, or by pool and index, as a Job does.
Result<std::string> Slot(const Environment& environment, const std::string& stage) {
  const auto index =
      TRY(Number(environment, "JOB_COMPLETION_INDEX", "an index of a Job", kIndexesPerPool));
  const auto pool = TRY(Number(environment, "BACKFILL_POOL", "the number of a Job", kPools));
  if (!pool || !environment("BACKFILL_WORKER").value_or("").empty())
    return Required(environment, "BACKFILL_WORKER");
  if (!index) return Error{ErrorCode::kInvalid, "JOB_COMPLETION_INDEX is not set"};
  return stage + "-" + std::to_string(*pool * kIndexesPerPool + *index);
}

// A token must not be read by whoever listens.
Status CheckSecrecy(const Settings& s) {
  if (!s.ca_file.empty() || StaysOnThisMachine(s.coordinator)) return Ok{};
  return Error{ErrorCode::kInvalid,
               "BACKFILL_COORDINATOR is on a network, so that BACKFILL_CA_FILE must be set"};
}

}  // namespace

Result<Settings> ReadSettings(const Environment& environment) {
  Settings s;
  s.coordinator = TRY(Required(environment, "BACKFILL_COORDINATOR"));
  s.token_file = environment("BACKFILL_TOKEN_FILE").value_or("");
  s.ca_file = environment("BACKFILL_CA_FILE").value_or("");
  s.server_name = environment("BACKFILL_SERVER_NAME").value_or("");
  if (s.token_file.empty()) s.token = TRY(Required(environment, "BACKFILL_TOKEN"));
  TRY(CheckSecrecy(s));
  s.uid = TRY(Required(environment, "BACKFILL_UID"));
  s.stage = TRY(Required(environment, "BACKFILL_STAGE"));
  s.worker = TRY(Slot(environment, s.stage));
  s.instance = environment("BACKFILL_POD_UID").value_or("");
  if (s.instance.empty()) s.instance = environment("BACKFILL_INSTANCE").value_or("");
  if (s.instance.empty()) s.instance = RandomHex(8);
  s.ns = environment("BACKFILL_NAMESPACE").value_or("");
  s.name = environment("BACKFILL_NAME").value_or("");
  if (s.stage != "run" && s.stage != "dry-run" && s.stage != "plan") {
    return Error{ErrorCode::kInvalid,
                 "BACKFILL_STAGE is neither \"run\" nor \"dry-run\" nor \"plan\""};
  }
  s.lifeline_fd = TRY(Descriptor(environment, "BACKFILL_LIFELINE_FD"));
  s.sent_fd = TRY(Descriptor(environment, "BACKFILL_SENT_FD"));
  return s;
}

}  // namespace backfill::worker
