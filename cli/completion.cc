#include "cli/completion.h"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>
#include <utility>

#include "cli/exit_code.h"
#include "cli/stored_backfill.h"

namespace backfill::cli {
namespace {

// For a shell. All texts are this program's own.
std::string InQuotes(std::string_view text) {
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
  return InQuotes(fmt::format("{}", fmt::join(words, " ")));
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
        --state-dir|-n|--namespace|--context|--kubeconfig)
          value=${COMP_WORDS[i+1]}
          [[ $value == = ]] && value=${COMP_WORDS[i+2]}
          place+=("${COMP_WORDS[i]}" "${value/#\~\//$HOME/}") ;;
        --cluster) place+=(--cluster) ;;
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
        --state-dir|-n|--namespace|--context|--kubeconfig) place+=("${words[i]}" "${(Q)words[i+1]}") ;;
        --state-dir=*|--namespace=*|--context=*|--kubeconfig=*|--cluster) place+=("${(Q)words[i]}") ;;
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
      case --state-dir -n --namespace --context --kubeconfig
        set -a place $tokens[$i..(math $i + 1)]
      case '--state-dir=*' '--namespace=*' '--context=*' '--kubeconfig=*' --cluster
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
  return out + " -d " + InQuotes(option.about);
}

std::string FishScript(const std::vector<CompletedCommand>& commands) {
  std::string out = kFish;
  for (const CompletedCommand& c : commands) {
    out += fmt::format("complete -c backfill -n __fish_use_subcommand -a {} -d {}\n", c.name,
                       InQuotes(c.about));
    const std::string when =
        fmt::format("complete -c backfill -n '__fish_seen_subcommand_from {}'", c.name);
    if (!c.words.empty()) out += when + " -a " + QuotedList(c.words) + "\n";
    if (c.takes_name) out += when + " -a '(__backfill_names)'\n";
    for (const CompletedOption& o : c.options) out += when + FishOption(o) + "\n";
  }
  return out;
}

// The same for the other name. Its functions have names of their own, as both may be loaded.
std::string ForPlugin(std::string script) {
  const auto replace = [&script](const std::string& what, const std::string& by) {
    for (std::size_t at = script.find(what); at != std::string::npos;
         at = script.find(what, at + by.size()))
      script.replace(at, what.size(), by);
  };
  replace("_backfill", "_kubectl_backfill");
  replace("complete -F _kubectl_backfill backfill",
          "complete -F _kubectl_backfill kubectl-backfill");
  replace("compdef _kubectl_backfill backfill", "compdef _kubectl_backfill kubectl-backfill");
  replace("#compdef backfill", "#compdef kubectl-backfill");
  replace("complete -c backfill", "complete -c kubectl-backfill");
  replace("$(backfill completion", "$(kubectl-backfill completion");
  replace("  backfill completion names", "  kubectl-backfill completion names");
  replace("completion for backfill", "completion for kubectl-backfill");
  replace("bash_completion.d/backfill", "bash_completion.d/kubectl-backfill");
  replace("completions/backfill.fish", "completions/kubectl-backfill.fish");
  return script;
}

const CompletedCommand* FindCommand(const std::vector<CompletedCommand>& commands,
                                    const std::string& name) {
  const auto it = std::ranges::find(commands, name, &CompletedCommand::name);
  return it == commands.end() ? nullptr : &*it;
}

const CompletedOption* FindOption(const CompletedCommand& command, const std::string& name) {
  const auto it = std::ranges::find_if(command.options, [&](const CompletedOption& option) {
    return std::ranges::find(option.names, name) != option.names.end();
  });
  return it == command.options.end() ? nullptr : &*it;
}

// What has been typed of where to look.
PlaceFlags FlagsIn(const std::vector<std::string>& words) {
  PlaceFlags flags;
  const std::pair<std::string_view, std::optional<std::string>*> known[] = {
      {"-n", &flags.ns},
      {"--namespace", &flags.ns},
      {"--context", &flags.context},
      {"--kubeconfig", &flags.kubeconfig},
      {"--state-dir", &flags.state_dir}};
  for (std::size_t i = 0; i < words.size(); ++i) {
    for (const auto& [name, value] : known) {
      if (words[i] == name && i + 1 < words.size()) *value = words[i + 1];
      if (words[i].starts_with(std::string(name) + "=")) *value = words[i].substr(name.size() + 1);
    }
  }
  return flags;
}

}  // namespace

std::optional<Shell> FindShell(std::string_view name) {
  if (name == "bash") return Shell::kBash;
  if (name == "zsh") return Shell::kZsh;
  if (name == "fish") return Shell::kFish;
  return std::nullopt;
}

std::string CompletionScript(Shell shell, const std::vector<CompletedCommand>& commands,
                             CalledAs called_as) {
  std::string script;
  switch (shell) {
    case Shell::kBash:
      script =
          "# bash completion for backfill: source it, or put it into "
          "/etc/bash_completion.d/backfill\n" +
          Rules(commands) + kBash;
      break;
    case Shell::kZsh:
      script =
          "#compdef backfill\n"
          "# zsh completion for backfill: put it as _backfill into a folder of $fpath\n" +
          Rules(commands) + kZsh;
      break;
    case Shell::kFish:
      script =
          "# fish completion for backfill: put it into "
          "~/.config/fish/completions/backfill.fish\n" +
          FishScript(commands);
      break;
  }
  return called_as == CalledAs::kBackfill ? script : ForPlugin(std::move(script));
}

std::vector<std::string> StoredNames(const Place& place, const Environment& env) {
  std::vector<std::string> names;
  const Result<OpenState> state = OpenExistingState(place, env, Access::kRead);
  if (!state.ok()) return names;  // nobody who presses a key wants a message
  // The objects as they are: one that cannot be read has a name, too. Only what is a name: a shell
  // evaluates what it proposes.
  const auto objects = state->store->List(kube::kBackfillKind, state->place.Namespace());
  if (!objects.ok()) return names;
  for (const kube::Object& object : *objects)
    if (IsName(object.ref.name)) names.push_back(object.ref.name);
  return names;
}

int ProposeForKubectl(const std::vector<std::string>& words,
                      const std::vector<CompletedCommand>& commands, const Environment& env) {
  std::ostream& out = env.streams.out;
  constexpr const char* kNothingElse = ":4\n";
  constexpr const char* kFiles = ":0\n";
  const std::string typed = words.empty() ? "" : words.back();
  const auto propose = [&](const std::string& word, const std::string& about) {
    if (word.starts_with(typed)) out << word << (about.empty() ? "" : "\t" + about) << "\n";
  };
  if (words.size() < 2) {
    for (const CompletedCommand& command : commands) propose(command.name, command.about);
    out << kNothingElse;
    return kExitDone;
  }
  const CompletedCommand* const command = FindCommand(commands, words.front());
  if (command == nullptr) {
    out << kNothingElse;
    return kExitDone;
  }
  const CompletedOption* const option = FindOption(*command, words[words.size() - 2]);
  if (option != nullptr && !option->value.empty()) {
    for (const std::string& choice : option->choices) propose(choice, "");
    out << (TakesPath(*option) ? kFiles : kNothingElse);
    return kExitDone;
  }
  for (const std::string& word : command->words) propose(word, "");
  if (typed.starts_with('-')) {
    for (const CompletedOption& each : command->options)
      for (const std::string& name : each.names) propose(name, each.about);
  } else if (command->takes_name) {
    const MeantPlace meant = FindPlace(FlagsIn(words), env.called_as);
    if (meant.problem.empty())
      for (const std::string& name : StoredNames(meant.place, env)) propose(name, "");
  }
  out << kNothingElse;
  return kExitDone;
}

int RunCompletionNames(const Place& place, const Environment& env) {
  for (const std::string& name : StoredNames(place, env)) env.streams.out << name << "\n";
  return kExitDone;
}

}  // namespace backfill::cli
