#pragma once

#include <string>
#include <vector>

#include "operator/api/backfill.h"

namespace backfill::api {

// A {{fields.NAME}} in a template.
struct TemplateField {
  std::string name;
  std::string place;  // spec.target.http.body: line 1, column 8
  bool operator==(const TemplateField&) const = default;
};

// Every field that the templates of the target, of its dry run and of throttle.partitionBy name,
// each once, by name.
std::vector<TemplateField> TemplateFields(const Spec& spec);

}  // namespace backfill::api
