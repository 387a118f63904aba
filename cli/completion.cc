#include "cli/completion.h"

#include <fmt/format.h>

#include <ostream>

#include "cli/exit_code.h"
#include "cli/stored_backfill.h"

namespace backfill::cli {
namespace {

// For a shell. All texts are this program's own.
std::string Quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

std::string QuotedList(const std::vector<std::string>& words) {
  return Quoted(fmt::format("{}", fmt::join(words, " ")));
}

bool TakesPath(const CompletedOption& option) {
  return option.value.starts_with("FILE") || option.value == "OLD" || option.value == "DIR";
}

// What a shell is to propose after an option, as an assignment of the rules below.
std::string ValueRule(const CompletedOption& option) {
  if (!option.choices.empty()) return "proposed=" + QuotedList(option.choices);
  return TakesPath(option) ? "files=1" : ":";
}

std::string CommandRule(const CompletedCommand& command) {
  std::vector<std::string> words = command.words;
  for (const CompletedOption& option : command.options)
    words.insert(words.end(), option.names.begin(), option.names.end());
  return "proposed=" + QuotedList(words) + (command.takes_name ? "; stored=1" : "");
}

// bash and zsh share the rules; they differ in how words come in and go out.
std::string Rules(const std::vector<CompletedCommand>& commands) {
  std::string values;
  std::string words;
  std::vector<std::string> names;
  for (const CompletedCommand& c : commands) {
    for (const CompletedOption& o : c.options) {
      if (o.value.empty()) continue;
      std::vector<std::string> patterns;
      for (const std::string& name : o.names) patterns.push_back(c.name + ":" + name);
      values += fmt::format("    {}) {}; return ;;\n", fmt::join(patterns, "|"), ValueRule(o));
    }
    words += fmt::format("    {}) {} ;;\n", c.name, CommandRule(c));
    names.push_back(c.name);
  }
  names.emplace_back("--help");
  return fmt::format(
      "_backfill_rules() {{  # COMMAND PREVIOUS -> proposed, files, stored\n"
      "  proposed= files= stored=\n"
      "  case $1:$2 in\n"
      "{}"
      "  esac\n"
      "  case $1 in\n"
      "    '') proposed={} ;;\n"
      "{}"
      "  esac\n"
      "}}\n",
      values, QuotedList(names), words);
}

constexpr char kBash[] = R"(_backfill() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command= value i
  local proposed files stored names
  local -a place=()
  ((COMP_CWORD > 1)) && command=${COMP_WORDS[1]}
  # bash takes the = of --output=json for a word.
  if [[ $cur == = ]]; then
    cur=
  elif [[ $prev == = ]]; then
    prev=${COMP_WORDS[COMP_CWORD-2]}
  fi
  _backfill_rules "$command" "$prev"
  if [[ -n $files ]]; then
    COMPREPLY=()
    compopt -o default
    return
  fi
  if [[ -n $stored && $cur != -* ]]; then
    for ((i = 2; i < COMP_CWORD; i++)); do
      case ${COMP_WORDS[i]} in
        --state-dir|-n|--namespace)
          value=${COMP_WORDS[i+1]}
          [[ $value == = ]] && value=${COMP_WORDS[i+2]}
          place+=("${COMP_WORDS[i]}" "${value/#\~\//$HOME/}") ;;
      esac
    done
    names=$(backfill completion names "${place[@]}" 2>/dev/null)
    [[ -n $names ]] && proposed=$names
  fi
  mapfile -t COMPREPLY < <(compgen -W "$proposed" -- "$cur")
}
complete -F _backfill backfill
)";

constexpr char kZsh[] = R"(_backfill() {
  local cur=${words[CURRENT]} prev=${words[CURRENT-1]} command= i
  local proposed files stored names
  local -a place
  ((CURRENT > 2)) && command=${words[2]}
  if [[ $cur == --*=* ]]; then
    prev=${cur%%=*}
    compset -P '*='
  fi
  _backfill_rules "$command" "$prev"
  if [[ -n $files ]]; then
    _files
    return
  fi
  if [[ -n $stored && $cur != -* ]]; then
    for ((i = 3; i < CURRENT; i++)); do
      case ${words[i]} in
        --state-dir|-n|--namespace) place+=("${words[i]}" "${(Q)words[i+1]}") ;;
        --state-dir=*|--namespace=*) place+=("${(Q)words[i]}") ;;
      esac
    done
    names=$(backfill completion names "${place[@]}" 2>/dev/null)
    [[ -n $names ]] && proposed=$names
  fi
  compadd -- ${=proposed}
}
if [[ $funcstack[1] == _backfill ]]; then
  _backfill "$@"
else
  compdef _backfill backfill
fi
)";

constexpr char kFish[] = R"(complete -c backfill -f
function __backfill_names
  set -l tokens (commandline -opc)
  set -l place
  for i in (seq 2 (count $tokens))
    switch $tokens[$i]
      case --state-dir -n --namespace
        set -a place $tokens[$i..(math $i + 1)]
      case '--state-dir=*' '--namespace=*'
        set -a place $tokens[$i]
    end
  end
  backfill completion names $place 2>/dev/null
end
)";

std::string FishOption(const CompletedOption& option) {
  std::string out;
  for (const std::string& name : option.names)
    out += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
  if (!option.choices.empty()) {
    out += " -x -a " + QuotedList(option.choices);
  } else if (TakesPath(option)) {
    out += " -r -F";
  } else if (!option.value.empty()) {
    out += " -x";
  }
  return out + " -d " + Quoted(option.about);
}

std::string FishScript(const std::vector<CompletedCommand>& commands) {
  std::string out = kFish;
  for (const CompletedCommand& c : commands) {
    out += fmt::format("complete -c backfill -n __fish_use_subcommand -a {} -d {}\n", c.name,
                       Quoted(c.about));
    const std::string when =
        fmt::format("complete -c backfill -n '__fish_seen_subcommand_from {}'", c.name);
    if (!c.words.empty()) out += when + " -a " + QuotedList(c.words) + "\n";
    if (c.takes_name) out += when + " -a '(__backfill_names)'\n";
    for (const CompletedOption& o : c.options) out += when + FishOption(o) + "\n";
  }
  return out;
}

}  // namespace

std::optional<Shell> FindShell(std::string_view name) {
  if (name == "bash") return Shell::kBash;
  if (name == "zsh") return Shell::kZsh;
  if (name == "fish") return Shell::kFish;
  return std::nullopt;
}

std::string CompletionScript(Shell shell, const std::vector<CompletedCommand>& commands) {
  switch (shell) {
    case Shell::kBash:
      return "# bash completion for backfill: source it, or put it into "
             "/etc/bash_completion.d/backfill\n" +
             Rules(commands) + kBash;
    case Shell::kZsh:
      return "#compdef backfill\n"
             "# zsh completion for backfill: put it as _backfill into a folder of $fpath\n" +
             Rules(commands) + kZsh;
    case Shell::kFish:
      return "# fish completion for backfill: put it into "
             "~/.config/fish/completions/backfill.fish\n" +
             FishScript(commands);
  }
  return "";
}

int RunCompletionNames(const Place& place, const Environment& env) {
  const Result<OpenState> state = OpenExistingState(place, env, Access::kRead);
  if (!state.ok()) return kExitDone;  // nobody who presses a key wants a message
  // The objects as they are: one that cannot be read has a name, too. Only what is a name: a shell
  // evaluates what it proposes.
  const auto objects = state->store->List(kube::kBackfillKind, place.Namespace());
  if (!objects.ok()) return kExitDone;
  for (const kube::Object& object : *objects)
    if (IsName(object.ref.name)) env.streams.out << object.ref.name << "\n";
  return kExitDone;
}

}  // namespace backfill::cli
