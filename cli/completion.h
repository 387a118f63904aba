#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/environment.h"
#include "cli/place.h"

// What a shell proposes for the next word. Pure but for the names of backfills, which are asked for
// while somebody types.
namespace backfill::cli {

struct CompletedOption {
  std::vector<std::string> names;  // -o, --output
  std::string value;               // FILE, DIR, ...; empty: a flag
  std::vector<std::string> choices;
  std::string about;
};

struct CompletedCommand {
  std::string name;
  std::string about;
  std::vector<CompletedOption> options;
  std::vector<std::string> words;  // that can follow, such as bash
  bool takes_name = false;         // of a backfill
};

enum class Shell { kBash, kZsh, kFish };
std::optional<Shell> FindShell(std::string_view name);

// A script for the shell's start-up files. It runs `backfill completion names` for names; of a
// plugin it is for who types kubectl-backfill, as kubectl asks in its own way (below).
std::string CompletionScript(Shell shell, const std::vector<CompletedCommand>& commands,
                             CalledAs called_as);

// For kubectl, which knows nothing of its plugins: what could stand for the last of `words`, a line
// each, then what the shell may add itself (:4 nothing, :0 files), as Cobra's programs say it.
int ProposeForKubectl(const std::vector<std::string>& words,
                      const std::vector<CompletedCommand>& commands, const Environment& env);

// The names of what is stored; none, and no error, where nothing can be read.
std::vector<std::string> StoredNames(const Place& place, const Environment& env);

// The same, one a line; nothing, and no error, where there is no state.
int RunCompletionNames(const Place& place, const Environment& env);

}  // namespace backfill::cli
