#include "bench/throttle/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>

namespace backfill::throttle_bench {
namespace {

constexpr std::string_view kHead = R"(# The governor beside other ways to set a rate

Made by `make bench-throttle`; do not edit. A simulation: a target with one queue, in steps of a second. The scenarios are
files in `bench/throttle/scenarios`, the plant and the contestants are explained in `bench/throttle/README.md`, the weak spots in
`operator/throttle/README.md`. Read those before you quote a figure.

- **over %**: share of the time in which the true metric is over budget, while there is room for a backfill at all
- **sev**: how far, in budget-seconds; **peak**: the highest share of the budget; **crit s**: seconds at critical
- **thr %**: records sent, of those that could have been sent within budget; **least**, **worst**: of the single scenarios
- **settle**: seconds after a step until in budget and at 60 % of what is possible; **flips/h**: changes of direction
- **blind**: records sent while the metric was missing
)";

std::string Cell(double value, int digits) {
  return std::isnan(value) ? "-" : fmt::format("{:.{}f}", value, digits);
}

void AppendMeans(const Tournament& t, std::size_t limit, std::string& out) {
  fmt::format_to(std::back_inserter(out),
                 "\n## Means of {} scenarios, limit {:g} records/s\n\n"
                 "| controller | over % | worst | sev | crit s | thr % | least | flips/h |\n"
                 "|---|---|---|---|---|---|---|---|\n",
                 t.scenarios.size(), t.limits[limit]);
  for (std::size_t c = 0; c < t.contestants.size(); ++c) {
    const Figures mean = t.Mean(limit, c);
    double worst = 0;
    double least = INFINITY;
    for (const auto& scenario : t.results[limit]) {
      worst = std::max(worst, scenario[c].over);
      least = std::min(least, scenario[c].thr);
    }
    fmt::format_to(std::back_inserter(out), "| {} | {} | {} | {} | {} | {} | {} | {} |\n",
                   t.contestants[c], Cell(mean.over, 2), Cell(worst, 1), Cell(mean.sev, 0),
                   Cell(mean.crit_s, 1), Cell(mean.thr, 1), Cell(least, 1), Cell(mean.flips, 1));
  }
}

void AppendGoverned(const std::string& title, const Figures& f, const std::string& missed,
                    std::string& out) {
  fmt::format_to(std::back_inserter(out), "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
                 title, Cell(f.over, 2), Cell(f.sev, 0), Cell(f.peak, 2), Cell(f.crit_s, 1),
                 Cell(f.thr, 1), Cell(f.settle, 0), Cell(f.flips, 1), Cell(f.blind, 0),
                 missed.empty() ? "kept" : "MISSED: " + missed);
}

const Verdict* Find(const std::vector<Verdict>& verdicts, const std::string& what) {
  const auto it = std::find_if(verdicts.begin(), verdicts.end(),
                               [&](const Verdict& v) { return v.what == what; });
  return it == verdicts.end() ? nullptr : &*it;
}

void AppendGovernor(const Tournament& t, const std::vector<Verdict>& verdicts, std::string& out) {
  const std::size_t governor = t.contestants.size() - 1;
  fmt::format_to(
      std::back_inserter(out),
      "\n## The governor, limit {:g} records/s\n\n"
      "| scenario | over % | sev | peak | crit s | thr % | settle | flips/h | blind | gate |\n"
      "|---|---|---|---|---|---|---|---|---|---|\n",
      t.limits[0]);
  const auto missed = [&](const std::string& what) {
    const Verdict* verdict = Find(verdicts, what);
    return verdict ? verdict->missed : "";
  };
  for (std::size_t s = 0; s < t.scenarios.size(); ++s)
    AppendGoverned(t.scenarios[s], t.results[0][s][governor], missed(t.scenarios[s]), out);
  for (std::size_t v = 0; v < t.variants.size(); ++v)
    AppendGoverned(t.variants[v], t.variant_results[v], missed(t.variants[v]), out);
  out += "\n";
  for (const Verdict& verdict : verdicts) {
    const bool single = std::count(t.scenarios.begin(), t.scenarios.end(), verdict.what) +
                            std::count(t.variants.begin(), t.variants.end(), verdict.what) >
                        0;
    if (!single)
      fmt::format_to(std::back_inserter(out), "- {}: {}\n", verdict.what,
                     verdict.missed.empty() ? "kept" : "MISSED: " + verdict.missed);
  }
}

// Every scenario in which somebody sends more without being over budget more, or for less long.
void AppendLosses(const Tournament& t, std::string& out) {
  const std::size_t governor = t.contestants.size() - 1;
  fmt::format_to(std::back_inserter(out),
                 "\n## Where the governor loses, limit {:g} records/s\n\n"
                 "Others that send more at no more time over budget and no more severity:\n\n",
                 t.limits[0]);
  bool any = false;
  for (std::size_t s = 0; s < t.scenarios.size(); ++s) {
    const Figures& ours = t.results[0][s][governor];
    for (std::size_t c = 0; c + 2 < t.contestants.size(); ++c) {
      const Figures& theirs = t.results[0][s][c];
      if (theirs.thr <= ours.thr || theirs.over > ours.over || theirs.sev > ours.sev) continue;
      any = true;
      fmt::format_to(
          std::back_inserter(out),
          "- {}: {} sends {:.1f} % instead of {:.1f} %, over {:.2f} % instead of {:.2f} %\n",
          t.scenarios[s], t.contestants[c], theirs.thr, ours.thr, theirs.over, ours.over);
    }
  }
  if (!any) out += "- none\n";
  out +=
      "\nThe most anybody sends, at any price, and the least time that anybody is over budget:\n\n";
  out += "| scenario | governor: thr %, over % | most thr % | least over % |\n|---|---|---|---|\n";
  for (std::size_t s = 0; s < t.scenarios.size(); ++s) {
    const auto& row = t.results[0][s];
    const auto most = static_cast<std::size_t>(
        std::max_element(row.begin(), row.end(),
                         [](const Figures& a, const Figures& b) { return a.thr < b.thr; }) -
        row.begin());
    const auto least = static_cast<std::size_t>(
        std::min_element(row.begin(), row.end(),
                         [](const Figures& a, const Figures& b) { return a.over < b.over; }) -
        row.begin());
    fmt::format_to(std::back_inserter(out), "| {} | {:.1f}, {:.2f} | {:.1f} {} | {:.2f} {} |\n",
                   t.scenarios[s], row[governor].thr, row[governor].over, row[most].thr,
                   t.contestants[most], row[least].over, t.contestants[least]);
  }
}

void AppendAll(const Tournament& t, std::size_t limit, std::string& out) {
  fmt::format_to(std::back_inserter(out), "\n## over % / sev / thr %, limit {:g} records/s\n\n|  |",
                 t.limits[limit]);
  for (const std::string& name : t.contestants) out += " " + name + " |";
  out += "\n|---|";
  for (std::size_t c = 0; c < t.contestants.size(); ++c) out += "---|";
  out += "\n";
  for (std::size_t s = 0; s < t.scenarios.size(); ++s) {
    out += "| " + t.scenarios[s] + " |";
    for (const Figures& f : t.results[limit][s])
      fmt::format_to(std::back_inserter(out), " {:.1f} / {:.0f} / {:.0f} |", f.over, f.sev, f.thr);
    out += "\n";
  }
}

nlohmann::ordered_json JsonOf(const Figures& figures) {
  nlohmann::ordered_json json;
  for (std::size_t f = 0; f < kFigures; ++f) {
    const double value = Figure(figures, f);
    if (!std::isnan(value)) json[std::string(FigureNames()[f])] = value;
  }
  return json;
}

}  // namespace

std::string ToMarkdown(const Tournament& tournament, const std::vector<Verdict>& verdicts,
                       const TournamentOptions& options) {
  std::string out(kHead);
  fmt::format_to(std::back_inserter(out), "\nSeeds {} to {}; each figure is their mean.\n",
                 options.first_seed,
                 options.first_seed + static_cast<std::uint64_t>(options.seeds) - 1);
  for (std::size_t limit = 0; limit < tournament.limits.size(); ++limit)
    AppendMeans(tournament, limit, out);
  AppendGovernor(tournament, verdicts, out);
  AppendLosses(tournament, out);
  for (std::size_t limit = 0; limit < tournament.limits.size(); ++limit)
    AppendAll(tournament, limit, out);
  return out;
}

std::string ToJson(const Tournament& tournament, const std::vector<Verdict>& verdicts,
                   const TournamentOptions& options) {
  nlohmann::ordered_json json;
  json["firstSeed"] = options.first_seed;
  json["seeds"] = options.seeds;
  for (std::size_t limit = 0; limit < tournament.limits.size(); ++limit) {
    for (std::size_t c = 0; c < tournament.contestants.size(); ++c) {
      nlohmann::ordered_json row;
      row["limit"] = tournament.limits[limit];
      row["controller"] = tournament.contestants[c];
      row["mean"] = JsonOf(tournament.Mean(limit, c));
      for (std::size_t s = 0; s < tournament.scenarios.size(); ++s)
        row["scenarios"][tournament.scenarios[s]] = JsonOf(tournament.results[limit][s][c]);
      json["results"].push_back(std::move(row));
    }
  }
  for (std::size_t v = 0; v < tournament.variants.size(); ++v)
    json["variants"][tournament.variants[v]] = JsonOf(tournament.variant_results[v]);
  for (const Verdict& verdict : verdicts)
    json["gates"][verdict.what] = verdict.missed.empty() ? "kept" : verdict.missed;
  return json.dump(1) + "\n";
}

}  // namespace backfill::throttle_bench
