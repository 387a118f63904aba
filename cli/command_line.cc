#include "cli/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <ostream>

#include "cli/command_options.h"
#include "cli/completion.h"
#include "cli/exit_code.h"
#include "cli/help_topics.h"
#include "cli/human.h"
#include "cli/stored_backfill.h"
#include "cli/terminal_text.h"
#include "operator/api/suggest.h"

namespace backfill::cli {
namespace {

constexpr std::size_t kOptionColumn = 30;

// CLI11 has two empty lines around a group of options.
std::string Help(const CLI::App& app, const std::string& name) {
  std::string text = app.help(name);
  for (std::size_t at = text.find("\n\n\n"); at != std::string::npos; at = text.find("\n\n\n", at))
    text.erase(at, 1);
  return text;
}

// Those that a plugin knows only to refuse them are hidden.
bool IsShown(const CLI::App* command) { return !command->get_group().empty(); }

std::vector<std::string> CommandNames(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* c : app.get_subcommands(IsShown)) names.push_back(c->get_name());
  return names;
}

// What `help` can be asked for: topics and commands.
std::vector<std::string> WhatIsExplained(const CLI::App& app) {
  std::vector<std::string> names;
  for (const HelpTopic& topic : HelpTopics()) names.emplace_back(topic.name);
  for (const std::string& command : CommandNames(app)) names.push_back(command);
  return names;
}

int RunHelp(const CLI::App& app, const std::string& topic, const Environment& env) {
  Streams& streams = env.streams;
  const std::string program(ProgramText(env.called_as));
  if (topic.empty()) {
    streams.out << "Topics:\n";
    for (const HelpTopic& known : HelpTopics())
      streams.out << "  " << known.name << std::string(14 - known.name.size(), ' ') << known.about
                  << "\n";
    streams.out << "\nsee: " << program << " help TOPIC, " << program << " COMMAND --help\n";
    return kExitDone;
  }
  if (const auto text = HelpText(topic)) {
    streams.out << *text;
    return kExitDone;
  }
  const std::vector<std::string> commands = CommandNames(app);
  if (std::find(commands.begin(), commands.end(), topic) != commands.end()) {
    streams.out << Help(*app.get_subcommand(topic), program);
    return kExitDone;
  }
  const auto near = api::Nearest(topic, WhatIsExplained(app));
  streams.err << "error: there is no topic \"" << Printable(topic) << "\""
              << (near ? "; did you mean " + *near + "?" : "") << "\nsee: " << program << " help\n";
  return kExitNotStarted;
}

// From how options with a choice describe themselves: "Format of the result: text, json".
std::vector<std::string> ChoicesOf(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  if (type != "FORMAT" && type != "CLASS,...") return {};
  const std::string& about = option.get_description();
  const std::size_t begin = about.find(": ") + 2;
  std::vector<std::string> choices =
      CLI::detail::split(about.substr(begin, about.find(" (") - begin), ',');
  for (std::string& word : choices) CLI::detail::trim(word);
  return choices;
}

std::vector<CompletedCommand> DescribeCommands(const CLI::App& app) {
  std::vector<CompletedCommand> commands;
  for (const CLI::App* c : app.get_subcommands(IsShown)) {
    CompletedCommand& command = commands.emplace_back();
    command.name = c->get_name();
    command.about = c->get_description();
    for (const CLI::Option* option : c->get_options()) {
      if (option->get_group().empty()) continue;
      if (option->get_positional()) {
        command.takes_name = command.takes_name || option->get_name() == "NAME";
        if (option->get_name() == "SHELL") command.words = {"bash", "zsh", "fish"};
        if (option->get_name() == "TOPIC") command.words = WhatIsExplained(app);
        continue;
      }
      CompletedOption& described = command.options.emplace_back();
      for (const std::string& name : option->get_snames()) described.names.push_back("-" + name);
      for (const std::string& name : option->get_lnames()) described.names.push_back("--" + name);
      if (option->get_items_expected_max() > 0) described.value = option->get_type_name();
      described.choices = ChoicesOf(*option);
      described.about = option->get_description();
    }
  }
  return commands;
}

int RunCompletion(const CLI::App& app, const CompletionOptions& o, const Environment& env) {
  const std::optional<Shell> shell = FindShell(o.shell);
  if (!shell) return RunCompletionNames(o.place, env);
  env.streams.out << CompletionScript(*shell, DescribeCommands(app), env.called_as);
  return kExitDone;
}

// Why no command is called that; empty: one is. CLI11 would only say that a command is missing.
std::string UnknownCommand(const CLI::App& app, const std::string& word) {
  const auto all = app.get_subcommands([](const CLI::App*) { return true; });
  if (std::ranges::find(all, word, &CLI::App::get_name) != all.end()) return "";
  const std::vector<std::string> names = CommandNames(app);
  const auto near = api::Nearest(word, names);
  return "there is no command \"" + Printable(word) + "\"" +
         (near ? "; did you mean " + *near + "?" : "");
}

int Dispatch(const CLI::App& app, Options& o, const Environment& env) {
  const MeantPlace meant = FindPlace(o.where, env.called_as);
  if (!meant.problem.empty()) return Refuse(env.streams, meant.problem);
  for (Place* place : {&o.lint.place, &o.plan.place, &o.run.place, &o.status.place, &o.watch.place,
                       &o.failures.place, &o.shards.place, &o.retry.place, &o.report.place,
                       &o.pause.place, &o.resume.place, &o.apply.place, &o.completion.place})
    *place = meant.place;
  const std::string command = app.get_subcommands().front()->get_name();
  if (command == "lint") return RunLint(o.lint, env.streams);
  if (command == "plan") return RunPlan(o.plan, env);
  if (command == "run") return RunRun(o.run, env);
  if (command == "status") {
    if (!o.timeout.empty()) o.status.timeout = ParseDuration(o.timeout).value();
    return RunStatus(o.status, env);
  }
  if (command == "watch") return RunWatch(o.watch, env);
  if (command == "failures") return RunFailures(o.failures, env);
  if (command == "shards") return RunShards(o.shards, env);
  if (command == "report") return RunReport(o.report, env);
  if (command == "replay-throttle") return RunReplayThrottle(o.replay_throttle, env.streams);
  if (command == "retry") return RunRetry(o.retry, env);
  if (command == "pause") return RunPause(o.pause, env);
  if (command == "resume") return RunResume(o.resume, env);
  if (command == "help") return RunHelp(app, o.topic, env);
  if (command == "completion") return RunCompletion(app, o.completion, env);
  if (command == "apply") return RunApply(o.apply, env);
  env.streams.out << "backfill " << BACKFILL_VERSION << "\n";
  return kExitDone;
}

}  // namespace

int RunCommandLine(const std::vector<std::string>& arguments, const Environment& env) {
  const std::string program(ProgramText(env.called_as));
  Options options;
  CLI::App app(std::string(AboutProgram()), program);
  app.get_formatter()->column_width(kOptionColumn);
  app.require_subcommand(1);
  app.set_help_flag("-h,--help", "Print this help");
  app.set_version_flag("--version", "backfill " BACKFILL_VERSION, "Print the version");
  AddCommands(app, options, env.called_as);
  app.footer(ProgramExamples(env.called_as));
  if (arguments.empty()) {
    env.streams.out << app.help();
    return kExitNotStarted;
  }
  if (const std::string unknown = UnknownCommand(app, arguments.front());
      !unknown.empty() && !arguments.front().starts_with('-')) {
    env.streams.err << "error: " << unknown << "\nsee: " << program << " --help\n";
    return kExitNotStarted;
  }
  try {
    // CLI11 takes them from the back.
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp& e) {
    const auto chosen = app.get_subcommands();
    env.streams.out << (chosen.empty() ? app.help() : Help(*chosen.front(), program));
    return kExitDone;
  } catch (const CLI::CallForVersion& e) {
    env.streams.out << e.what() << "\n";
    return kExitDone;
  } catch (const CLI::ParseError& e) {
    const auto chosen = app.get_subcommands();
    env.streams.err << "error: " << Printable(e.what()) << "\n"
                    << "see: " << program << " "
                    << (chosen.empty() ? "" : chosen.front()->get_name() + " ") << "--help\n";
    return kExitNotStarted;
  }
  return Dispatch(app, options, env);
}

int RunKubectlCompletion(const std::vector<std::string>& words, const Environment& env) {
  Options options;
  CLI::App app(std::string(AboutProgram()), std::string(ProgramText(env.called_as)));
  AddCommands(app, options, env.called_as);
  return ProposeForKubectl(words, DescribeCommands(app), env);
}

}  // namespace backfill::cli
