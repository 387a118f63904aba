#include "cli/command_options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <string_view>
#include <vector>

#include "cli/human.h"
#include "cli/state_dir.h"
#include "cli/terminal_text.h"

namespace backfill::cli {
namespace {

constexpr char kAbout[] =
    "Applies a change to every record of a dataset through a live service: declared in a\n"
    "file, throttled, resumable, dry run by default.\n";

constexpr char kRunnersExitCodes[] =
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

constexpr std::size_t kMaxBackfillName = 45;  // as in the resource
constexpr std::size_t kMaxNamespace = 63;     // a DNS label; so may a name be that is looked for

// Where commands are added.
struct Commands {
  CLI::App& app;
  Options& all;
  CalledAs called_as;
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

constexpr char kElsewhere[] = "Where to look";

CLI::Option* AddNamespace(CLI::App* command, PlaceFlags& where, const std::string& about) {
  return command->add_option("-n,--namespace", where.ns, about)
      ->type_name("NAME")
      ->check(NamesA("namespace", kMaxNamespace));
}

CLI::Option* AddStateDir(CLI::App* command, PlaceFlags& where) {
  return command
      ->add_option("--state-dir", where.state_dir,
                   "Where the state is kept (default: .backfill in the current folder)")
      ->type_name("DIR");
}

// Of commands for this machine alone. What is said of a cluster is understood, to be refused with
// a word on what to do there.
void AddStatePlace(CLI::App* command, PlaceFlags& where) {
  AddStateDir(command, where);
  AddNamespace(command, where, "Namespace of the backfill (default: the file's, or default)");
  command->add_flag("--cluster", where.cluster)->group("");
  command->add_option("--context", where.context)->group("");
  command->add_option("--kubeconfig", where.kubeconfig)->group("");
}

// Where backfills are looked for. Comes last, after what is the command's own.
void AddPlace(CLI::App* command, PlaceFlags& where, CalledAs called_as) {
  AddNamespace(command, where, "Namespace (default: the file's, the context's, or default)")
      ->group(kElsewhere);
  if (called_as == CalledAs::kBackfill) {
    command
        ->add_flag("--cluster", where.cluster,
                   "On the cluster of the current context; so do the next two")
        ->group(kElsewhere);
  } else {
    command->add_flag("--cluster", where.cluster)->group("");
  }
  command->add_option("--context", where.context, "On the cluster of this context")
      ->type_name("NAME")
      ->group(kElsewhere);
  command->add_option("--kubeconfig", where.kubeconfig, "In place of KUBECONFIG or ~/.kube/config")
      ->type_name("FILE")
      ->group(kElsewhere);
  CLI::Option* const state_dir = AddStateDir(command, where)->group(kElsewhere);
  if (called_as == CalledAs::kKubectlPlugin)
    state_dir->description("In a state directory of this machine instead");
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

void AddLint(Commands& to) {
  LintOptions& o = to.all.lint;
  CLI::App* c = to.app.add_subcommand("lint", "Check files and print every problem with its place");
  c->add_option("-f,--file", o.files, "Files to check; - is stdin")
      ->type_name("FILE...")
      ->required();
  AddNamespace(c, to.all.where, "Namespace of the backfill (default: the file's, or default)");
  c->footer(
      "Examples:\n"
      "  backfill lint -f reprice.yaml\n"
      "  backfill lint -f a.yaml b.yaml\n"
      "  generate | backfill lint -f -\n");
}

void AddPlan(Commands& to) {
  PlanOptions& o = to.all.plan;
  CLI::App* c = to.app.add_subcommand("plan", "Show what a file would do, without doing any of it");
  AddFile(c, o.file);
  AddOutput(c, o.output, {"text", "json", "yaml", "markdown"});
  c->add_option("--against", o.against,
                "Compare with this: the output of plan -o json or -o yaml, or an older FILE")
      ->type_name("OLD");
  AddPlace(c, to.all.where, to.called_as);
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

void AddRun(Commands& to) {
  RunOptions& o = to.all.run;
  CLI::App* c = to.app.add_subcommand("run", "Run a backfill on this machine, or go on with it");
  AddFile(c, o.file);
  c->add_option("--workers", o.workers,
                "At most this many worker processes (default: as the file says)")
      ->type_name("N")
      ->check(CLI::Range(1, 3000).description(""));
  AddOutput(c, o.output, {"text", "json"});
  c->add_flag("--no-progress", o.no_progress, "Print only what changes, not how far it is");
  AddStatePlace(c, to.all.where);
  c->footer(
      std::string(
          "Running the same file again goes on where it stopped; a completed one does nothing.\n"
          "The first Ctrl-C waits for the requests in flight, the second does not.\n\n") +
      kRunnersExitCodes +
      "\nExamples:\n"
      "  backfill run -f reprice.yaml\n"
      "  backfill run -f reprice.yaml --workers 1 --no-progress\n"
      "  backfill run -f reprice.yaml -o json > result.json\n");
}

void AddStatus(Commands& to) {
  StatusOptions& o = to.all.status;
  CLI::App* c = to.app.add_subcommand("status", "Show one backfill, or a table of all");
  AddName(c, o.name, "Which one (default: all)")->required(false);
  AddOutput(c, o.output, {"text", "wide", "json", "yaml"});
  c->add_flag("--wait", o.wait, "Wait for its end, or until a person is needed");
  c->add_option("--timeout", to.all.timeout, "With --wait: no longer than this: 90s, 10m, 1h30m")
      ->type_name("TIME")
      ->check([](const std::string& text) {
        const Result<Duration> d = ParseDuration(text);
        return d.ok() ? std::string() : Printable(d.error().message);
      });
  c->add_flag("-A,--all-namespaces", to.all.where.all_namespaces,
              "Of all namespaces (in a state directory that is the default)");
  AddPlace(c, to.all.where, to.called_as);
  c->footer(std::string("With --wait the exit code tells how it ended, else it is 0 or 1.\n\n") +
            kWatchersExitCodes +
            "\nExamples:\n"
            "  backfill status\n"
            "  backfill status -A -o wide\n"
            "  backfill status reprice\n"
            "  backfill status reprice -o json | jq .status.progress\n"
            "  backfill status reprice --wait --timeout 2h\n");
}

void AddWatch(Commands& to) {
  WatchOptions& o = to.all.watch;
  CLI::App* c = to.app.add_subcommand("watch", "Watch how a backfill goes");
  AddName(c, o.name);
  AddPlace(c, to.all.where, to.called_as);
  c->footer(
      std::string(
          "Draws on a terminal, prints lines elsewhere. Ends with the backfill or its runner,\n"
          "prints the status then, and its exit code tells how it ended. On a cluster it outlives\n"
          "an API server that is away for a while. Ctrl-C ends the watching only.\n\n") +
      kWatchersExitCodes +
      "\nExamples:\n"
      "  backfill watch reprice\n"
      "  backfill watch reprice 2>> reprice.log\n");
}

void AddFailures(Commands& to) {
  FailuresOptions& o = to.all.failures;
  CLI::App* c = to.app.add_subcommand("failures", "List the records that failed, and why");
  AddName(c, o.name);
  AddOutput(c, o.output, {"text", "json"});
  AddPlace(c, to.all.where, to.called_as);
  c->footer(
      "With -o json each line is one object.\n\n"
      "Examples:\n"
      "  backfill failures reprice\n"
      "  backfill failures reprice -o json | jq -r .key > failed.txt\n");
}

void AddShards(Commands& to) {
  ShardsOptions& o = to.all.shards;
  CLI::App* c =
      to.app.add_subcommand("shards", "List the shards of a backfill, and how far each is");
  AddName(c, o.name);
  AddOutput(c, o.output, {"text", "json"});
  AddPlace(c, to.all.where, to.called_as);
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

void AddReplayThrottle(Commands& to) {
  ReplayThrottleOptions& o = to.all.replay_throttle;
  CLI::App* c =
      to.app.add_subcommand("replay-throttle", "Make the decisions of a throttling log again");
  c->add_option("LOG", o.logs, "Logs of decisions, the oldest first; - is stdin")
      ->type_name("")
      ->required();
  c->add_flag("--decisions", o.decisions, "Show every decision");
  c->footer(
      "Each line of such a log has all that a decision about the rate depended on: metrics, "
      "rates,\n"
      "schedule, overrides. They are decided again, and what comes out differently is shown.\n"
      "`backfill run` writes NAMESPACE.NAME.decisions.log into its state directory; the operator\n"
      "answers with its own on /decisions. Lines of other logs are left out.\n\n"
      "Exit codes:\n"
      "  0  all are the same\n"
      "  1  it cannot be told\n"
      "  2  some came out differently\n\n"
      "Examples:\n"
      "  backfill replay-throttle .backfill/default.reprice.decisions.log\n"
      "  curl -s localhost:8080/decisions | backfill replay-throttle - --decisions\n");
}

void AddReport(Commands& to) {
  ReportOptions& o = to.all.report;
  CLI::App* c = to.app.add_subcommand("report", "Tell what was done, by whom, and what came of it");
  AddName(c, o.name);
  AddOutput(c, o.output, {"text", "json", "markdown"});
  AddPlace(c, to.all.where, to.called_as);
  c->footer(
      "Results, failures by class, pauses and changes with times, and how to reproduce it; also\n"
      "of a backfill that has not ended. Values of headers are hidden.\n\n"
      "Examples:\n"
      "  backfill report reprice\n"
      "  backfill report reprice -o markdown > report.md\n");
}

void AddRetry(Commands& to) {
  RetryOptions& o = to.all.retry;
  const std::vector<std::string> classes = {"transient", "timeout", "permanent", "conflict"};
  CLI::App* c = to.app.add_subcommand("retry", "Make the file of a new backfill of what failed");
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
  AddPlace(c, to.all.where, to.called_as);
  c->footer(
      "The new backfill is a dry run until its file says otherwise. Look at the failures first:\n"
      "what failed as permanent fails again unless its cause is gone. Not of a backfill that read\n"
      "a file: put its failed rows into a file of their own.\n\n"
      "Examples:\n"
      "  backfill retry reprice -f reprice-2.yaml --name reprice-2\n"
      "  backfill retry reprice -f reprice-2.yaml --name reprice-2 --class transient,timeout\n"
      "  backfill run -f reprice-2.yaml\n");
}

void AddPause(Commands& to) {
  PauseOptions& o = to.all.pause;
  CLI::App* c = to.app.add_subcommand("pause", "Stop sending, keep everything that is done");
  AddName(c, o.name);
  c->add_option("--reason", o.reason, "Why, for whoever wonders (default: who and when)")
      ->type_name("TEXT");
  c->add_flag("--wait", o.wait, "Wait until nothing is sent any more");
  AddPlace(c, to.all.where, to.called_as);
  c->footer(
      "Works while it runs, in another process or on a cluster, and while it does not run. "
      "Changes\n"
      "an annotation and nothing else, so that what a file or Git declares stays. To go on: "
      "resume.\n"
      "Exit code 0: stored, and with --wait nothing is sent any more; 1: not stored; 3: stored, "
      "but\n"
      "what --wait waits for does not come.\n\n"
      "Examples:\n"
      "  backfill pause reprice --reason \"errors in checkout\"\n"
      "  backfill pause reprice --wait\n");
}

void AddResume(Commands& to) {
  ResumeOptions& o = to.all.resume;
  CLI::App* c = to.app.add_subcommand("resume", "Take back a pause");
  AddName(c, o.name);
  c->add_flag("--wait", o.wait, "Wait until it runs again");
  AddPlace(c, to.all.where, to.called_as);
  c->footer(
      "Starts no runner: on this machine run it again if nothing does, on a cluster the operator\n"
      "goes on by itself. Exit codes as of pause.\n\n"
      "Examples:\n"
      "  backfill resume reprice\n");
}

void AddApply(Commands& to) {
  ApplyOptions& o = to.all.apply;
  CLI::App* c = to.app.add_subcommand("apply", "Change a backfill, also while it runs");
  AddFile(c, o.file);
  AddStatePlace(c, to.all.where);
  c->footer(
      "What work is done (source, target, sharding) is fixed once it is planned; how it is done\n"
      "(rate, workers, failure policy, pause) can change at any time.\n\n"
      "Examples:\n"
      "  backfill apply -f reprice.yaml\n");
}

void AddCompletion(Commands& to) {
  CompletionOptions& o = to.all.completion;
  CLI::App* c = to.app.add_subcommand("completion", "Print a script for completion in a shell");
  c->add_option("SHELL", o.shell, "bash, zsh, fish; or names: what could stand for NAME")
      ->type_name("")
      ->required()
      ->check(IsOneOf({"bash", "zsh", "fish", "names"}));
  AddPlace(c, to.all.where, to.called_as);
  c->footer(
      "Examples:\n"
      "  source <(backfill completion bash)\n"
      "  backfill completion zsh > ~/.zfunc/_backfill\n"
      "  backfill completion fish > ~/.config/fish/completions/backfill.fish\n");
}

void AddHelp(Commands& to) {
  CLI::App* c = to.app.add_subcommand("help", "Explain a topic or a command");
  c->add_option("TOPIC", to.all.topic, "A topic or a command (default: list the topics)")
      ->type_name("");
  c->footer(
      "Examples:\n"
      "  backfill help\n"
      "  backfill help spec | less\n"
      "  backfill help run\n");
}

// The examples are written for who types "backfill". A file is run by applying it.
std::string ForPlugin(std::string text, const std::vector<std::string>& commands) {
  const auto replace = [&text](const std::string& what, const std::string& by) {
    for (std::size_t at = text.find(what); at != std::string::npos;
         at = text.find(what, at + by.size()))
      text.replace(at, what.size(), by);
  };
  replace("backfill run -f", "kubectl apply -f");
  for (const std::string& command : commands)
    replace("backfill " + command, "kubectl backfill " + command);
  return text;
}

}  // namespace

void AddCommands(CLI::App& app, Options& options, CalledAs called_as) {
  Commands to{.app = app, .all = options, .called_as = called_as};
  AddLint(to);
  AddPlan(to);
  AddRun(to);
  AddStatus(to);
  AddWatch(to);
  AddFailures(to);
  AddShards(to);
  AddReport(to);
  AddReplayThrottle(to);
  AddRetry(to);
  AddPause(to);
  AddResume(to);
  AddApply(to);
  AddCompletion(to);
  AddHelp(to);
  app.add_subcommand("version", "Print the version")->footer("Examples:\n  backfill version\n");
  if (called_as == CalledAs::kBackfill) return;
  const auto all = app.get_subcommands([](const CLI::App*) { return true; });
  std::vector<std::string> names{"COMMAND"};
  for (const CLI::App* command : all) names.push_back(command->get_name());
  for (CLI::App* command : all) command->footer(ForPlugin(command->get_footer(), names));
  app.get_subcommand("completion")
      ->footer(
          "kubectl completes by itself once kubectl_complete-backfill is on the PATH; the scripts "
          "are\n"
          "for who types kubectl-backfill.\n\n"
          "Examples:\n"
          "  source <(kubectl backfill completion bash)\n");
  // Known, to say what to do instead.
  for (const char* local : {"run", "apply"}) app.get_subcommand(local)->group("");
}

std::string_view AboutProgram() { return kAbout; }

std::string ProgramExamples(CalledAs called_as) {
  if (called_as == CalledAs::kKubectlPlugin) {
    return "Looks at the cluster of the current context. Examples:\n"
           "  kubectl backfill plan -f reprice.yaml     what would happen\n"
           "  kubectl apply -f reprice.yaml             do it\n"
           "  kubectl backfill status reprice           how far it is\n"
           "  kubectl backfill COMMAND --help           more about a command\n"
           "  kubectl backfill help                     topics beyond single commands\n";
  }
  return "Examples:\n"
         "  backfill plan -f reprice.yaml     what would happen\n"
         "  backfill run -f reprice.yaml      do it; run again to go on\n"
         "  backfill status reprice           how far it is\n"
         "  backfill COMMAND --help           more about a command\n"
         "  backfill help                     topics beyond single commands\n";
}

}  // namespace backfill::cli
