#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"

namespace backfill::cli {

// The directory with the state of all backfills of one folder: the database, the locks, and while a
// runner is alive its socket. Only its owner may look inside: it holds records' keys and the
// targets' answers.
class StateDir {
 public:
  // Makes the directory (0700) and what is missing above it. kPermission, kUnavailable: why not,
  // and what to do.
  static Result<StateDir> Create(const std::filesystem::path& path);
  // kNotFound: there is none, or no backfill has ever run in it.
  static Result<StateDir> Find(const std::filesystem::path& path);

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::filesystem::path Database() const { return path_ / "backfill.db"; }
  // Held by the process that runs this backfill.
  [[nodiscard]] std::filesystem::path RunnerLock(std::string_view ns, std::string_view name) const;
  // Held by every worker process of this backfill.
  [[nodiscard]] std::filesystem::path WorkersLock(std::string_view ns, std::string_view name) const;
  // What its workers write on stdout and stderr.
  [[nodiscard]] std::filesystem::path WorkersLog(std::string_view ns, std::string_view name) const;
  // What the governor of its rate decided, for replay-throttle.
  [[nodiscard]] std::filesystem::path DecisionsLog(std::string_view ns,
                                                   std::string_view name) const;
  // The directory in which they take note of what they send.
  [[nodiscard]] std::filesystem::path WorkersSent(std::string_view ns, std::string_view name) const;
  // Of a backfill that has ended for good, which nobody will ask any more. What cannot be removed
  // stays, and harms nobody.
  void RemoveWorkersSent(std::string_view ns, std::string_view name) const;

 private:
  explicit StateDir(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

// Whether text from the command line may be a namespace or a name, and with it a part of a file's
// name: a DNS label.
bool IsName(std::string_view text);

}  // namespace backfill::cli
