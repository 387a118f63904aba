#include "cli/shards.h"

#include <algorithm>
#include <ostream>
#include <utility>

#include "cli/exit_code.h"
#include "cli/human.h"
#include "cli/stored_backfill.h"
#include "cli/table.h"
#include "cli/terminal_text.h"
#include "operator/api/json.h"
#include "operator/coordinator/ledger_store.h"

namespace backfill::cli {
namespace {

std::string StateText(const ledger::Shard& shard) {
  switch (shard.state) {
    case ledger::ShardState::kPending:
      return "pending";
    case ledger::ShardState::kInFlight:
      return "in-flight";
    case ledger::ShardState::kDone:
      return "done";
  }
  return "";
}

bool IsHeld(const ledger::Shard& shard) { return shard.state == ledger::ShardState::kInFlight; }

void SortByRange(std::vector<ledger::Shard>& shards) {
  std::ranges::sort(shards, {}, [](const ledger::Shard& s) { return s.range.begin; });
}

}  // namespace

std::string ShardsToTable(std::vector<ledger::Shard> shards) {
  SortByRange(shards);
  Table table(
      {"SHARD", "FROM", "UP TO", "STATE", "RECORDS", "DONE", "FAILED", "ATTEMPT", "HOLDER"});
  for (const ledger::Shard& s : shards) {
    table.Add({{std::to_string(s.id.value)},
               {std::to_string(s.range.begin)},
               {std::to_string(s.range.end)},
               {StateText(s), s.state == ledger::ShardState::kDone ? Color::kGreen : Color::kNone},
               {Grouped(s.planned)},
               {Grouped(s.counts.total())},
               {Grouped(s.counts.failed)},
               {std::to_string(s.attempt.value)},
               {Printable(s.holder)}});
  }
  return table.Render("", false);
}

std::string ShardsToJsonLines(std::vector<ledger::Shard> shards) {
  using api::Node;
  SortByRange(shards);
  std::string out;
  for (const ledger::Shard& s : shards) {
    Node line = Node::Map();
    line.Add("shard", Node::Int(s.id.value));
    line.Add("begin", Node::Int(s.range.begin));
    line.Add("end", Node::Int(s.range.end));
    line.Add("state", Node::String(StateText(s)));
    line.Add("records", Node::Int(s.planned));
    line.Add("cursor", Node::Int(s.cursor));
    line.Add("updated", Node::Int(s.counts.updated));
    line.Add("unchanged", Node::Int(s.counts.unchanged));
    line.Add("skipped", Node::Int(s.counts.skipped));
    line.Add("failed", Node::Int(s.counts.failed));
    line.Add("attempt", Node::Int(s.attempt.value));
    line.Add("holder", Node::String(s.holder));
    out += PrintableLines(api::WriteJson(line, -1, api::MemberOrder::kAsGiven)) + "\n";
  }
  return out;
}

int RunShards(const ShardsOptions& options, const Environment& env) {
  const Result<OpenState> state = OpenExistingState(options.place, env, Access::kRead);
  if (!state.ok()) return Refuse(env.streams, state.error().message);
  const Result<api::Backfill> b = ReadBackfill(*state->store, state->place, options.name);
  if (!b.ok()) return Refuse(env.streams, b.error().message);
  auto shards = coordinator::ReadShards(*state->store, StageOf(*b));
  if (!shards.ok() && shards.error().code == ErrorCode::kNotFound)
    return Refuse(env.streams, options.name + " has not been planned yet");
  if (!shards.ok()) return Refuse(env.streams, shards.error().message);
  if (std::ranges::any_of(*shards, IsHeld) && !state->RunnerOf(b->ns, b->name)) {
    env.streams.err << "nothing is running " << Printable(options.name)
                    << " now; holders are those of the last run\n";
  }
  if (options.output == "json") {
    env.streams.out << ShardsToJsonLines(std::move(*shards));
  } else if (shards->empty()) {
    env.streams.err << Printable(options.name) << " has no shards: there are no records\n";
  } else {
    env.streams.out << ShardsToTable(std::move(*shards));
  }
  return kExitDone;
}

}  // namespace backfill::cli
