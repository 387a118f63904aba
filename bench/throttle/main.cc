#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "bench/throttle/baselines.h"
#include "bench/throttle/crowd.h"
#include "bench/throttle/governed.h"
#include "bench/throttle/scenario.h"
#include "bench/throttle/table.h"
#include "bench/throttle/tournament.h"

namespace {

using namespace backfill;
using namespace backfill::throttle_bench;

bool Write(const std::string& file, const std::string& text) {
  std::ofstream out(file);
  out << text;
  out.close();
  if (!out) std::cerr << file << ": cannot be written\n";
  return out.good();
}

// What a page has that is not simulated: written by hand, from bench/throttle_live.
std::string LiveSection(const std::string& file) {
  std::ifstream in(file);
  const std::string page((std::istreambuf_iterator<char>(in)), {});
  const std::size_t at = page.find("\n## Live\n");
  return at == std::string::npos ? "" : page.substr(at);
}

}  // namespace

// Exit status: 0 all gates kept, 1 some missed, 2 it could not be run.
int main(int argc, char** argv) {
  CLI::App app("The governor beside other ways to set a rate, in a simulated target");
  std::string folder;
  std::string crowds_folder;
  std::string markdown;
  std::string json;
  std::vector<std::string> only;
  std::vector<Crowd> crowds;
  TournamentOptions options;
  app.add_option("--scenarios", folder, "Folder of scenario files")->required();
  app.add_option("--crowds", crowds_folder, "Folder of scenario files of several at once");
  app.add_option("--only", only, "Names of scenarios");
  app.add_option("--seeds", options.seeds, "How many")->check(CLI::Range(1, 1000));
  app.add_option("--first-seed", options.first_seed, "The first of them");
  app.add_option("--threads", options.threads, "How many")->check(CLI::Range(1, 64));
  app.add_option("--markdown", markdown, "Write the page here; else it is printed");
  app.add_option("--json", json, "Write the figures here");
  CLI11_PARSE(app, argc, argv);

  auto scenarios = ReadScenarios(folder);
  if (!scenarios.ok()) {
    std::cerr << scenarios.error().message << "\n";
    return 2;
  }
  options.scenarios = std::move(*scenarios);
  if (!only.empty()) {
    std::erase_if(options.scenarios, [&](const Scenario& s) {
      return std::find(only.begin(), only.end(), s.name) == only.end();
    });
  }
  if (!crowds_folder.empty()) {
    auto read = ReadCrowds(crowds_folder);
    if (!read.ok()) {
      std::cerr << read.error().message << "\n";
      return 2;
    }
    crowds = std::move(*read);
  }
  options.contestants = Baselines();
  options.contestants.push_back(GovernorAlone());
  options.contestants.push_back(TheGovernor());

  const Tournament tournament = Hold(options);
  const std::vector<Verdict> verdicts = Judge(tournament, options.scenarios);
  // They take longer than the others, and vary less.
  const int crowd_seeds = std::min(options.seeds, 5);
  const std::vector<CrowdResult> several = HoldCrowds(crowds, options.first_seed, crowd_seeds);
  std::string page = ToMarkdown(tournament, verdicts, options);
  if (!several.empty()) page += ToMarkdown(several, crowd_seeds);
  if (!markdown.empty()) page += LiveSection(markdown);
  if (markdown.empty()) {
    std::cout << page;
  } else if (!Write(markdown, page)) {
    return 2;
  }
  if (!json.empty() && !Write(json, ToJson(tournament, verdicts, options))) return 2;
  bool kept = true;
  for (const Verdict& verdict : verdicts) {
    if (verdict.missed.empty()) continue;
    kept = false;
    std::cerr << "gate missed: " << verdict.what << ": " << verdict.missed << "\n";
  }
  for (const CrowdResult& result : several) {
    if (result.missed.empty()) continue;
    kept = false;
    std::cerr << "gate missed: " << result.title << ": " << result.missed << "\n";
  }
  if (kept) std::cerr << "all gates kept\n";
  return kept ? 0 : 1;
}
