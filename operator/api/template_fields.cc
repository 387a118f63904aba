#include "operator/api/template_fields.h"

#include <map>
#include <string_view>
#include <utility>

#include "base/template.h"

namespace backfill::api {
namespace {

constexpr std::string_view kPrefix = "fields.";

class Collector {
 public:
  void Look(const std::string& text, const std::string& path) {
    const auto parts = ParseTemplate(text);
    if (!parts.ok()) return;  // has been refused
    for (const TemplatePart& part : *parts) {
      if (part.kind != TemplatePart::Kind::kPlaceholder || !part.text.starts_with(kPrefix))
        continue;
      found_.try_emplace(
          part.text.substr(kPrefix.size()),
          path + ": line " + std::to_string(part.line) + ", column " + std::to_string(part.column));
    }
  }
  template <typename Request>
  void LookAt(const Request& request, const std::string& path) {
    Look(request.url, path + ".url");
    for (const auto& [name, value] : request.headers) Look(value, path + ".headers." + name);
    Look(request.body, path + ".body");
  }
  [[nodiscard]] std::vector<TemplateField> Take() const {
    std::vector<TemplateField> fields;
    fields.reserve(found_.size());
    for (const auto& [name, place] : found_) fields.push_back({name, place});
    return fields;
  }

 private:
  std::map<std::string, std::string> found_;
};

}  // namespace

std::vector<TemplateField> TemplateFields(const Spec& spec) {
  const HttpTarget& target = spec.target;
  Collector collector;
  collector.LookAt(target, "spec.target.http");
  if (target.dry_run) collector.LookAt(*target.dry_run, "spec.target.http.dryRun");
  collector.Look(spec.throttle.partition_by, "spec.throttle.partitionBy");
  return collector.Take();
}

}  // namespace backfill::api
