#include "bench/throttle_live/figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

namespace backfill::throttle_live {

Figures::Row& Figures::Of(const std::string& what, const std::string& unit,
                          std::optional<double> goal) {
  const auto known = std::ranges::find(rows_, what, &Row::what);
  if (known != rows_.end()) return *known;
  return rows_.emplace_back(Row{.what = what, .unit = unit, .goal = goal, .samples = {}});
}

double Figures::Load() {
  double load = 0;
  return ::getloadavg(&load, 1) == 1 ? load : 0;
}

std::string Figures::Table() const {
  std::string out =
      "| what | unit | n | p50 | p95 | max | goal (p95) |\n|---|---|---|---|---|---|---|\n";
  for (const Row& row : rows_) {
    const std::string goal =
        row.goal ? fmt::format("{:g}{}", *row.goal, row.Missed() ? ", missed" : "") : "-";
    out += fmt::format("| {} | {} | {} | {:.3g} | {:.3g} | {:.3g} | {} |\n", row.what, row.unit,
                       row.samples.size(), row.samples.Quantile(0.5), row.samples.Quantile(0.95),
                       row.samples.Max(), goal);
  }
  return out +
         fmt::format(
             "\nLoad of the machine (1 minute): {:.1f} at the beginning, {:.1f} at the end.\n",
             load_, Load());
}

std::string Figures::Json() const {
  nlohmann::ordered_json out;
  out["load"] = {load_, Load()};
  out["rows"] = nlohmann::ordered_json::array();
  for (const Row& row : rows_) {
    nlohmann::ordered_json one = {{"what", row.what},
                                  {"unit", row.unit},
                                  {"n", row.samples.size()},
                                  {"p50", row.samples.Quantile(0.5)},
                                  {"p95", row.samples.Quantile(0.95)},
                                  {"max", row.samples.Max()},
                                  {"missed", row.Missed()}};
    if (row.goal) one["goal"] = *row.goal;
    out["rows"].push_back(std::move(one));
  }
  return out.dump(2) + "\n";
}

}  // namespace backfill::throttle_live
