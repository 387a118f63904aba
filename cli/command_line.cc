#include "cli/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <ostream>

#include "cli/apply.h"
#include "cli/completion.h"
#include "cli/exit_code.h"
#include "cli/failures.h"
#include "cli/help_topics.h"
#include "cli/human.h"
#include "cli/lint.h"
#include "cli/pause.h"
#include "cli/plan.h"
#include "cli/report.h"
#include "cli/retry.h"
#include "cli/run.h"
#include "cli/shards.h"
#include "cli/state_dir.h"
#include "cli/status.h"
#include "cli/stored_backfill.h"
#include "cli/terminal_text.h"
#include "cli/watch.h"
#include "operator/api/suggest.h"

namespace backfill::cli {
namespace {

constexpr char kAbout[] =
    "Applies a change to every record of a dataset through a live service: declared in a\n"
    "file, throttled, resumable, dry run by default.\n";

constexpr char kExitCodes[] =
    "Exit codes:\n"
    "  0    ended as declared: completed, or the dry run is done\n"
    "  1    nothing was started: bad file, bad environment, already run by another process\n"
    "  2    the backfill failed\n"
    "  3    stopped before its end, state kept: paused, Ctrl-C, or a person is needed (failure\n"
    "       budget, a source that cannot be read, an error that lasts for ten minutes)\n"
    "  130  ended at once by a second Ctrl-C\n";

// Of who looks on.
constexpr char kWatchersExitCodes[] =
    "Exit codes:\n"
    "  0    ended as declared: completed, or the dry run is done\n"
    "  1    the state cannot be read, or there is no such backfill\n"
    "  2    the backfill failed\n"
    "  3    has not ended, and nothing runs it, it is paused or needs a person, or time is over\n";

constexpr std::size_t kOptionColumn = 30;
constexpr std::size_t kMaxBackfillName = 45;  // as in the resource
constexpr std::size_t kMaxNamespace = 63;     // a DNS label; so may a name be that is looked for

struct CompletionOptions {
  std::string shell;  // or "names"
  Place place;
};

// Everything that can be said on the command line.
struct Options {
  LintOptions lint;
  PlanOptions plan;
  RunOptions run;
  StatusOptions status;
  WatchOptions watch;
  FailuresOptions failures;
  ShardsOptions shards;
  RetryOptions retry;
  ReportOptions report;
  PauseOptions pause;
  ResumeOptions resume;
  ApplyOptions apply;
  CompletionOptions completion;
  std::string topic;
  std::string timeout;
};

using Check = std::function<std::string(const std::string&)>;

// What CLI11 prints when an argument does not hold; an empty text: it does.
Check NamesA(const char* what, std::size_t at_most) {
  return [what, at_most](const std::string& text) {
    return IsName(text) && text.size() <= at_most
               ? std::string()
               : "\"" + Printable(text) + "\" cannot be the name of a " + what;
  };
}

Check IsOneOf(const std::vector<std::string>& words) {
  return [words](const std::string& text) {
    return std::find(words.begin(), words.end(), text) != words.end()
               ? std::string()
               : "\"" + Printable(text) + "\" is none of " + CLI::detail::join(words, ", ");
  };
}

void AddNamespace(CLI::App* command, Place& place) {
  command
      ->add_option("-n,--namespace", place.ns,
                   "Namespace of the backfill (default: the file's, or default)")
      ->type_name("NAME")
      ->check(NamesA("namespace", kMaxNamespace));
}

// Where backfills are looked for. Comes last, after what is the command's own.
void AddPlace(CLI::App* command, Place& place) {
  command
      ->add_option("--state-dir", place.state_dir,
                   "Where the state is kept (default: .backfill in the current folder)")
      ->type_name("DIR");
  AddNamespace(command, place);
}

void AddFile(CLI::App* command, std::string& file) {
  command->add_option("-f,--file", file, "The file with the backfill; - is stdin")
      ->type_name("FILE")
      ->required();
}

void AddOutput(CLI::App* command, std::string& output, const std::vector<std::string>& formats) {
  command
      ->add_option("-o,--output", output,
                   "Format of the result: " + CLI::detail::join(formats, ", "))
      ->type_name("FORMAT")
      ->check(IsOneOf(formats));
}

CLI::Option* AddName(CLI::App* command, std::string& name,
                     const std::string& what = "Which backfill") {
  return command->add_option("NAME", name, what)
      ->type_name("")
      ->check(NamesA("backfill", kMaxNamespace))
      ->required();
}

void AddLint(CLI::App& app, LintOptions& o) {
  CLI::App* c = app.add_subcommand("lint", "Check files and print every problem with its place");
  c->add_option("-f,--file", o.files, "Files to check; - is stdin")
      ->type_name("FILE...")
      ->required();
  AddNamespace(c, o.place);
  c->footer(
      "Examples:\n"
      "  backfill lint -f reprice.yaml\n"
      "  backfill lint -f a.yaml b.yaml\n"
      "  generate | backfill lint -f -\n");
}

void AddPlan(CLI::App& app, PlanOptions& o) {
  CLI::App* c = app.add_subcommand("plan", "Show what a file would do, without doing any of it");
  AddFile(c, o.file);
  AddOutput(c, o.output, {"text", "json", "yaml", "markdown"});
  c->add_option("--against", o.against,
                "Compare with this: the output of plan -o json or -o yaml, or an older FILE")
      ->type_name("OLD");
  AddPlace(c, o.place);
  c->footer(
      "Exit codes:\n"
      "  0    the file is valid, and the same as OLD\n"
      "  1    the file or OLD cannot be read, or has problems\n"
      "  2    the file would do something else than OLD\n"
      "\n"
      "Examples:\n"
      "  backfill plan -f reprice.yaml\n"
      "  backfill plan -f reprice.yaml -o markdown > comment.md\n"
      "  git show main:reprice.yaml | backfill plan -f reprice.yaml --against -\n"
      "  backfill plan -f reprice.yaml -o json | jq -r .planHash\n");
}

void AddRun(CLI::App& app, RunOptions& o) {
  CLI::App* c = app.add_subcommand("run", "Run a backfill on this machine, or go on with it");
  AddFile(c, o.file);
  c->add_option("--workers", o.workers,
                "At most this many worker processes (default: as the file says)")
      ->type_name("N")
      ->check(CLI::Range(1, 3000).description(""));
  AddOutput(c, o.output, {"text", "json"});
  c->add_flag("--no-progress", o.no_progress, "Print only what changes, not how far it is");
  AddPlace(c, o.place);
  c->footer(
      std::string(
          "Running the same file again goes on where it stopped; a completed one does nothing.\n"
          "The first Ctrl-C waits for the requests in flight, the second does not.\n\n") +
      kExitCodes +
      "\nExamples:\n"
      "  backfill run -f reprice.yaml\n"
      "  backfill run -f reprice.yaml --workers 1 --no-progress\n"
      "  backfill run -f reprice.yaml -o json > result.json\n");
}

void AddStatus(CLI::App& app, Options& all) {
  StatusOptions& o = all.status;
  CLI::App* c = app.add_subcommand("status", "Show one backfill, or a table of all");
  AddName(c, o.name, "Which one (default: all)")->required(false);
  AddOutput(c, o.output, {"text", "json"});
  c->add_flag("--wait", o.wait, "Wait for its end, or until a person is needed");
  c->add_option("--timeout", all.timeout, "With --wait: no longer than this: 90s, 10m, 1h30m")
      ->type_name("TIME")
      ->check([](const std::string& text) {
        const Result<Duration> d = ParseDuration(text);
        return d.ok() ? std::string() : Printable(d.error().message);
      });
  AddPlace(c, o.place);
  c->footer(std::string("With --wait the exit code tells how it ended, else it is 0 or 1.\n\n") +
            kWatchersExitCodes +
            "\nExamples:\n"
            "  backfill status\n"
            "  backfill status reprice\n"
            "  backfill status reprice -o json | jq .status.progress\n"
            "  backfill status reprice --wait --timeout 2h\n");
}

void AddWatch(CLI::App& app, WatchOptions& o) {
  CLI::App* c = app.add_subcommand("watch", "Watch a backfill that another process runs");
  AddName(c, o.name);
  AddPlace(c, o.place);
  c->footer(
      std::string(
          "Draws on a terminal, prints lines elsewhere. Ends with the runner, prints the\n"
          "status then, and its exit code tells how it ended. Ctrl-C ends the watching only.\n\n") +
      kWatchersExitCodes +
      "\nExamples:\n"
      "  backfill watch reprice\n"
      "  backfill watch reprice 2>> reprice.log\n");
}

void AddFailures(CLI::App& app, FailuresOptions& o) {
  CLI::App* c = app.add_subcommand("failures", "List the records that failed, and why");
  AddName(c, o.name);
  AddOutput(c, o.output, {"text", "json"});
  AddPlace(c, o.place);
  c->footer(
      "With -o json each line is one object.\n\n"
      "Examples:\n"
      "  backfill failures reprice\n"
      "  backfill failures reprice -o json | jq -r .key > failed.txt\n");
}

void AddShards(CLI::App& app, ShardsOptions& o) {
  CLI::App* c = app.add_subcommand("shards", "List the shards of a backfill, and how far each is");
  AddName(c, o.name);
  AddOutput(c, o.output, {"text", "json"});
  AddPlace(c, o.place);
  c->footer(
      "In the order of their records: FROM is the place of the first (in a range its key, else "
      "its\n"
      "index), UP TO that behind the last. What a worker has done since its last report is not in\n"
      "the ledger yet. With -o json each line is one object.\n\n"
      "Examples:\n"
      "  backfill shards reprice\n"
      "  backfill shards reprice | grep -v ' done '\n"
      "  backfill shards reprice -o json | jq 'select(.state != \"done\")'\n");
}

void AddReport(CLI::App& app, ReportOptions& o) {
  CLI::App* c = app.add_subcommand("report", "Tell what was done, by whom, and what came of it");
  AddName(c, o.name);
  AddOutput(c, o.output, {"text", "json", "markdown"});
  AddPlace(c, o.place);
  c->footer(
      "Results, failures by class, pauses and changes with times, and how to reproduce it; also\n"
      "of a backfill that has not ended. Values of headers are hidden.\n\n"
      "Examples:\n"
      "  backfill report reprice\n"
      "  backfill report reprice -o markdown > report.md\n");
}

void AddRetry(CLI::App& app, RetryOptions& o) {
  const std::vector<std::string> classes = {"transient", "timeout", "permanent", "conflict"};
  CLI::App* c = app.add_subcommand("retry", "Make the file of a new backfill of what failed");
  AddName(c, o.name, "Which backfill, one that has ended");
  c->add_option("-f,--file", o.file, "The file to make, which must not be there; - is stdout")
      ->type_name("FILE")
      ->required();
  c->add_option("--name", o.new_name, "Name of the new backfill")
      ->type_name("NEW")
      ->required()
      ->check(NamesA("backfill", kMaxBackfillName));
  c->add_option("--class", o.classes,
                "Only what failed so: " + CLI::detail::join(classes, ", ") + " (default: all)")
      ->type_name("CLASS,...")
      ->delimiter(',')
      ->check(IsOneOf(classes));
  AddPlace(c, o.place);
  c->footer(
      "The new backfill is a dry run until its file says otherwise. Look at the failures first:\n"
      "what failed as permanent fails again unless its cause is gone. Not of a backfill that read\n"
      "a file: put its failed rows into a file of their own.\n\n"
      "Examples:\n"
      "  backfill retry reprice -f reprice-2.yaml --name reprice-2\n"
      "  backfill retry reprice -f reprice-2.yaml --name reprice-2 --class transient,timeout\n"
      "  backfill run -f reprice-2.yaml\n");
}

void AddPause(CLI::App& app, PauseOptions& o) {
  CLI::App* c = app.add_subcommand("pause", "Stop sending, keep everything that is done");
  AddName(c, o.name);
  c->add_option("--reason", o.reason, "Why, for whoever wonders (default: who and when)")
      ->type_name("TEXT");
  c->add_flag("--wait", o.wait, "Wait until nothing is sent any more");
  AddPlace(c, o.place);
  c->footer(
      "Works while it runs in another process, and while it does not run. To go on: resume.\n"
      "Exit code 0: stored, and with --wait nothing is sent any more; 1: not stored; 3: stored, "
      "but\n"
      "what --wait waits for does not come.\n\n"
      "Examples:\n"
      "  backfill pause reprice --reason \"errors in checkout\"\n"
      "  backfill pause reprice --wait\n");
}

void AddResume(CLI::App& app, ResumeOptions& o) {
  CLI::App* c = app.add_subcommand("resume", "Take back a pause");
  AddName(c, o.name);
  c->add_flag("--wait", o.wait, "Wait until it runs again");
  AddPlace(c, o.place);
  c->footer(
      "Starts no runner: if nothing runs it, backfill run -f FILE goes on. Exit codes as of "
      "pause.\n\n"
      "Examples:\n"
      "  backfill resume reprice\n");
}

void AddApply(CLI::App& app, ApplyOptions& o) {
  CLI::App* c = app.add_subcommand("apply", "Change a backfill, also while it runs");
  AddFile(c, o.file);
  AddPlace(c, o.place);
  c->footer(
      "What work is done (source, target, sharding) is fixed once it is planned; how it is done\n"
      "(rate, workers, failure policy, pause) can change at any time.\n\n"
      "Examples:\n"
      "  backfill apply -f reprice.yaml\n");
}

void AddCompletion(CLI::App& app, CompletionOptions& o) {
  CLI::App* c = app.add_subcommand("completion", "Print a script for completion in a shell");
  c->add_option("SHELL", o.shell, "bash, zsh, fish; or names: what could stand for NAME")
      ->type_name("")
      ->required()
      ->check(IsOneOf({"bash", "zsh", "fish", "names"}));
  AddPlace(c, o.place);
  c->footer(
      "Examples:\n"
      "  source <(backfill completion bash)\n"
      "  backfill completion zsh > ~/.zfunc/_backfill\n"
      "  backfill completion fish > ~/.config/fish/completions/backfill.fish\n");
}

void AddHelp(CLI::App& app, std::string& topic) {
  CLI::App* c = app.add_subcommand("help", "Explain a topic or a command");
  c->add_option("TOPIC", topic, "A topic or a command (default: list the topics)")->type_name("");
  c->footer(
      "Examples:\n"
      "  backfill help\n"
      "  backfill help spec | less\n"
      "  backfill help run\n");
}

std::vector<std::string> CommandNames(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* c : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(c->get_name());
  return names;
}

// What `help` can be asked for: topics and commands.
std::vector<std::string> WhatIsExplained(const CLI::App& app) {
  std::vector<std::string> names;
  for (const HelpTopic& topic : HelpTopics()) names.emplace_back(topic.name);
  for (const std::string& command : CommandNames(app)) names.push_back(command);
  return names;
}

int RunHelp(const CLI::App& app, const std::string& topic, Streams& streams) {
  if (topic.empty()) {
    streams.out << "Topics:\n";
    for (const HelpTopic& known : HelpTopics())
      streams.out << "  " << known.name << std::string(14 - known.name.size(), ' ') << known.about
                  << "\n";
    streams.out << "\nsee: backfill help TOPIC, backfill COMMAND --help\n";
    return kExitDone;
  }
  if (const auto text = HelpText(topic)) {
    streams.out << *text;
    return kExitDone;
  }
  const std::vector<std::string> commands = CommandNames(app);
  if (std::find(commands.begin(), commands.end(), topic) != commands.end()) {
    streams.out << app.get_subcommand(topic)->help("backfill");
    return kExitDone;
  }
  const auto near = api::Nearest(topic, WhatIsExplained(app));
  streams.err << "error: there is no topic \"" << Printable(topic) << "\""
              << (near ? "; did you mean " + *near + "?" : "") << "\nsee: backfill help\n";
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
  for (const CLI::App* c : app.get_subcommands([](const CLI::App*) { return true; })) {
    CompletedCommand& command = commands.emplace_back();
    command.name = c->get_name();
    command.about = c->get_description();
    for (const CLI::Option* option : c->get_options()) {
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
  env.streams.out << CompletionScript(*shell, DescribeCommands(app));
  return kExitDone;
}

// Why no command is called that; empty: one is. CLI11 would only say that a command is missing.
std::string UnknownCommand(const CLI::App& app, const std::string& word) {
  const std::vector<std::string> names = CommandNames(app);
  if (std::find(names.begin(), names.end(), word) != names.end()) return "";
  const auto near = api::Nearest(word, names);
  return "there is no command \"" + Printable(word) + "\"" +
         (near ? "; did you mean " + *near + "?" : "");
}

int Dispatch(const CLI::App& app, Options& o, const Environment& env) {
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
  if (command == "retry") return RunRetry(o.retry, env);
  if (command == "pause") return RunPause(o.pause, env);
  if (command == "resume") return RunResume(o.resume, env);
  if (command == "help") return RunHelp(app, o.topic, env.streams);
  if (command == "completion") return RunCompletion(app, o.completion, env);
  if (command == "apply") return RunApply(o.apply, env);
  env.streams.out << "backfill " << BACKFILL_VERSION << "\n";
  return kExitDone;
}

}  // namespace

int RunCommandLine(const std::vector<std::string>& arguments, const Environment& env) {
  Options options;
  CLI::App app(kAbout, "backfill");
  app.get_formatter()->column_width(kOptionColumn);
  app.require_subcommand(1);
  app.set_help_flag("-h,--help", "Print this help");
  app.set_version_flag("--version", "backfill " BACKFILL_VERSION, "Print the version");
  AddLint(app, options.lint);
  AddPlan(app, options.plan);
  AddRun(app, options.run);
  AddStatus(app, options);
  AddWatch(app, options.watch);
  AddFailures(app, options.failures);
  AddShards(app, options.shards);
  AddReport(app, options.report);
  AddRetry(app, options.retry);
  AddPause(app, options.pause);
  AddResume(app, options.resume);
  AddApply(app, options.apply);
  AddCompletion(app, options.completion);
  AddHelp(app, options.topic);
  CLI::App* version = app.add_subcommand("version", "Print the version");
  version->footer("Examples:\n  backfill version\n");
  app.footer(
      "Examples:\n"
      "  backfill plan -f reprice.yaml     what would happen\n"
      "  backfill run -f reprice.yaml      do it; run again to go on\n"
      "  backfill status reprice           how far it is\n"
      "  backfill COMMAND --help           more about a command\n"
      "  backfill help                     topics beyond single commands\n");
  if (arguments.empty()) {
    env.streams.out << app.help();
    return kExitNotStarted;
  }
  if (const std::string unknown = UnknownCommand(app, arguments.front());
      !unknown.empty() && !arguments.front().starts_with('-')) {
    env.streams.err << "error: " << unknown << "\nsee: backfill --help\n";
    return kExitNotStarted;
  }
  try {
    // CLI11 takes them from the back.
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp& e) {
    const auto chosen = app.get_subcommands();
    env.streams.out << (chosen.empty() ? app.help() : chosen.front()->help("backfill"));
    return kExitDone;
  } catch (const CLI::CallForVersion& e) {
    env.streams.out << e.what() << "\n";
    return kExitDone;
  } catch (const CLI::ParseError& e) {
    const auto chosen = app.get_subcommands();
    env.streams.err << "error: " << Printable(e.what()) << "\n"
                    << "see: backfill " << (chosen.empty() ? "" : chosen.front()->get_name() + " ")
                    << "--help\n";
    return kExitNotStarted;
  }
  return Dispatch(app, options, env);
}

}  // namespace backfill::cli
