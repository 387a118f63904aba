#include "cli/interventions.h"

#include <nlohmann/json.hpp>

#include "base/utf8.h"
#include "cli/terminal_text.h"

namespace backfill::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMaxName = 64;
constexpr std::size_t kMaxDetail = 512;

// What goes into JSON is printable, so it is UTF-8, too.
std::string Cut(std::string_view text, std::size_t bytes) {
  const std::string printable = Printable(text);
  return std::string(CutToBytes(printable, bytes));
}

std::string Text(const Json& entry, const char* name) {
  const auto it = entry.find(name);
  return it != entry.end() && it->is_string() ? it->get<std::string>() : std::string();
}

}  // namespace

InterventionLog ReadInterventions(const api::Backfill& backfill) {
  InterventionLog log;
  const auto annotation = backfill.annotations.find(kInterventionsAnnotation);
  if (annotation == backfill.annotations.end()) return log;
  const Json json = Json::parse(annotation->second, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return log;
  if (const auto dropped = json.find("dropped");
      dropped != json.end() && dropped->is_number_unsigned())
    log.dropped = dropped->get<std::uint64_t>();
  const auto entries = json.find("entries");
  if (entries == json.end() || !entries->is_array()) return log;
  for (const Json& entry : *entries) {
    if (!entry.is_object() || log.entries.size() == kMaxInterventions) continue;
    log.entries.push_back(
        {Text(entry, "time"), Text(entry, "by"), Text(entry, "what"), Text(entry, "detail")});
  }
  return log;
}

void NoteIntervention(api::Backfill& backfill, const Intervention& intervention) {
  InterventionLog log = ReadInterventions(backfill);
  if (log.entries.size() == kMaxInterventions) {
    log.entries.erase(log.entries.begin());
    ++log.dropped;
  }
  log.entries.push_back({intervention.time, Cut(intervention.by, kMaxName),
                         Cut(intervention.what, kMaxName), Cut(intervention.detail, kMaxDetail)});
  Json entries = Json::array();
  for (const Intervention& i : log.entries) {
    entries.push_back(Json{{"time", i.time}, {"by", i.by}, {"what", i.what}, {"detail", i.detail}});
  }
  const Json json{{"dropped", log.dropped}, {"entries", entries}};
  backfill.annotations[kInterventionsAnnotation] =
      json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string ChangesText(const std::vector<SpecChange>& changes) {
  std::string text;
  for (const SpecChange& change : changes) text += (text.empty() ? "" : "; ") + ToString(change);
  return text;
}

}  // namespace backfill::cli
