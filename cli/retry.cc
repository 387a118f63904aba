#include "cli/retry.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <ostream>
#include <string_view>
#include <system_error>
#include <variant>

#include "base/utf8.h"
#include "cli/backfill_file.h"
#include "cli/descriptor.h"
#include "cli/exit_code.h"
#include "cli/failures.h"
#include "cli/human.h"
#include "cli/stored_backfill.h"
#include "cli/terminal_text.h"
#include "operator/api/decode.h"

namespace backfill::cli {
namespace {

constexpr std::size_t kMaxDescription = 1024;  // as in the resource

Error CannotWrite(const std::string& file, int error) {
  std::string what =
      fmt::format("cannot write {}: {}", ShownFile(file), std::generic_category().message(error));
  if (error == EEXIST) what += "; give another name, or remove it";
  return {ErrorCode::kPermission, what};
}

// Never over a file that is there: somebody may have edited it.
Status WriteNewFile(const std::string& file, std::string_view text) {
  const Descriptor opened(open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (opened.get() < 0) return CannotWrite(file, errno);
  while (!text.empty()) {
    const ssize_t n = write(opened.get(), text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      const int error = n < 0 ? errno : EIO;
      unlink(file.c_str());  // half of it could pass for the whole
      return CannotWrite(file, error);
    }
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return Ok{};
}

std::string FileText(const api::Backfill& retry, const std::string& of, std::size_t records) {
  return fmt::format(
             "# {} of {} that failed. This is a dry run; for real set dryRun to false and let\n"
             "# performDisruptiveBackfill repeat the name.\n",
             Plural(records, "record"), of) +
         api::ToYaml(retry);
}

// How many records the new backfill has. It may have any of the errors of ResolveFailures().
Result<std::size_t> CountRecords(kube::ObjectStore& store, const api::Backfill& retry) {
  const api::Spec spec = TRY(ResolveFailures(store, retry));
  return std::get<api::KeysSource>(spec.source).keys.size();
}

}  // namespace

api::Backfill MakeRetry(const api::Backfill& ended, const std::string& name,
                        const std::vector<std::string>& classes) {
  api::Backfill retry;
  retry.name = name;
  retry.ns = ended.ns;
  retry.labels = ended.labels;
  retry.spec = ended.spec;
  std::string about = "What failed in " + ended.name;
  if (!ended.spec.description.empty()) about += ": " + ended.spec.description;
  retry.spec.description = std::string(CutToBytes(about, kMaxDescription));
  retry.spec.source = api::FailuresOfSource{.name = ended.name, .ns = {}, .classes = classes};
  retry.spec.sharding.reset();  // cut for another number of records
  retry.spec.dry_run = true;
  retry.spec.perform_disruptive_backfill.clear();
  retry.spec.paused = false;
  return retry;
}

int RunRetry(const RetryOptions& options, const Environment& env) {
  if (options.new_name == options.name)
    return Refuse(env.streams, "--name must be another than that of the backfill that has ended");
  const Result<OpenState> state = OpenExistingState(options.place, env, Access::kRead);
  if (!state.ok()) return Refuse(env.streams, state.error().message);
  const Result<api::Backfill> ended = ReadBackfill(*state->store, state->place, options.name);
  if (!ended.ok()) return Refuse(env.streams, ended.error().message);
  const api::Backfill retry = MakeRetry(*ended, options.new_name, options.classes);
  const Result<std::size_t> records = CountRecords(*state->store, retry);
  if (!records.ok()) return Refuse(env.streams, records.error().message);
  if (*records == 0) {
    return Refuse(env.streams, options.name + " has no failed records" +
                                   (options.classes.empty() ? "" : " of that class") +
                                   "; there is nothing to retry");
  }
  const std::string text = FileText(retry, options.name, *records);
  if (options.file == "-") {
    env.streams.out << text;
    return kExitDone;
  }
  if (const Status written = WriteNewFile(options.file, text); !written.ok())
    return Refuse(env.streams, written.error().message);
  env.streams.err << ShownFile(options.file) << ": " << Plural(*records, "record")
                  << "; try it with: " << CommandToRun(options.file, state->place.In(retry.ns))
                  << "\n";
  return kExitDone;
}

}  // namespace backfill::cli
