#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "operator/plan/source_planner.h"
#include "rows/file_plan.h"
#include "rows/format.h"
#include "rows/http_source.h"

namespace backfill::plan {

// A field that a template names, and where.
struct NeededField {
  std::string name;
  std::string place;
};

// A file, local or behind http(s), as it is or compressed. Positions are indexes of rows. Reads it
// once, in constant memory.
//
// Errors beyond those of SourcePlanner: a file that is not there or may not be read is kInvalid,
// since trying again does not help; with kMayAppear it is kNotFound, kPermission or
// kUnauthenticated.
class FilePlanner final : public SourcePlanner {
 public:
  // What is not there, on one machine; on a cluster a volume may be filled by others.
  enum class Missing { kForGood, kMayAppear };
  using Progress = std::function<void(const rows::PlanProgress&)>;

  // `needed`: the columns of a kCsv file that have to be there. `http`: if the path is a URL.
  FilePlanner(std::string path, rows::FileFormat format, std::vector<NeededField> needed,
              rows::HttpOptions http = {}, Progress progress = nullptr,
              Missing missing = Missing::kForGood)
      : path_(std::move(path)),
        format_(std::move(format)),
        needed_(std::move(needed)),
        http_(std::move(http)),
        progress_(std::move(progress)),
        missing_(missing) {}

  Result<std::vector<PlannedShard>> Cut(const Cutting& cutting, std::stop_token stop) override;
  [[nodiscard]] std::optional<FileFacts> file() const override { return facts_; }

 private:
  Result<rows::FilePlan> Read(const Cutting& cutting, const std::stop_token& stop) const;
  [[nodiscard]] Status CheckColumns(const std::vector<std::string>& columns) const;

  const std::string path_;
  const rows::FileFormat format_;
  const std::vector<NeededField> needed_;
  const rows::HttpOptions http_;
  const Progress progress_;
  const Missing missing_;
  std::optional<FileFacts> facts_;
};

}  // namespace backfill::plan
