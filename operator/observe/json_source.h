#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "operator/observe/metric_servers.h"
#include "operator/observe/query.h"
#include "operator/observe/source.h"

namespace backfill::observe {

// A number in what a URL answers, as old as the answer.
class JsonSource final : public Source {
 public:
  // `query` has passed Check(). The references must outlive it.
  JsonSource(JsonQuery query, MetricServers& servers, const Clock& clock);

  Reply Ask(Time deadline, const std::stop_token& stop) override;

 private:
  const JsonQuery query_;
  const std::vector<std::string> pointer_;
  MetricServers& servers_;
  const Clock& clock_;
};

// Reads the document: a number, or a text that is one ("0.25", "NaN"); null and nothing at all are
// kNoData; anything else is kError. Pure.
Reply ReadJsonValue(std::string_view body, const std::vector<std::string>& pointer, Time now);

}  // namespace backfill::observe
