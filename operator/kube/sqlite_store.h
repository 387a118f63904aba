#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/mutex.h"
#include "operator/kube/object_store.h"

namespace backfill::kube {

struct SqliteOptions {
  // Reads only; the file must exist. Writes return kPermission.
  bool read_only = false;
  // A write waits this long for the writes of other processes, then it returns kUnavailable.
  std::chrono::milliseconds busy_timeout{5000};
  // The file grows to this many pages of 4 KiB at most; beyond it writes return kUnavailable. 0: no
  // quota.
  std::int64_t max_page_count = 0;
  // Gives the creation times and must outlive the store; nullptr: the system's.
  const Clock* clock = nullptr;
};

// API objects in one SQLite file (WAL), which any number of threads and processes may have open at
// the same time.
//
// What a returned write has survived: with kProcess the death of any process, with kPower also the
// loss of power (it is on the disk). A write that fails has changed nothing, but for kUnavailable
// from a failing disk, where it is unknown. A damaged file, one of a newer version or of another
// program is refused and left as it is.
//
// Thread-safe: writes take turns, reads and waits do not wait for them.
class SqliteStore final : public ObjectStore {
 public:
  using Options = SqliteOptions;

  // Creates the file (mode 0600) if there is none; its folder must exist. Errors: kNotFound (no
  // file, read_only), kInvalid (the file belongs to a newer version or to another program),
  // kUnavailable, kInternal (damaged).
  static Result<std::unique_ptr<SqliteStore>> Open(const std::filesystem::path& file,
                                                   const Options& options = {});
  ~SqliteStore() override;

  Result<Object> Get(const ObjectRef& ref) override;
  Result<std::vector<Object>> List(std::string_view kind, std::string_view ns) override;
  Result<Object> Create(const Object& object, Durability durability) override;
  Result<Object> Update(const Object& object, Durability durability) override;
  Result<Object> UpdateStatus(const Object& object, Durability durability) override;
  Status Delete(const ObjectRef& ref, std::string_view uid) override;
  Result<std::uint64_t> WaitForChange(std::uint64_t seen, Time deadline,
                                      std::stop_token stop) override;

 private:
  struct Reader;  // one connection with its statements, used under a lock
  struct Writer;
  // What a write makes of the current object; nullopt: nothing changes.
  using Change =
      std::function<Result<std::optional<Object>>(const Object& current, std::uint64_t version)>;

  SqliteStore(const Clock* clock, std::unique_ptr<Reader> reader, std::unique_ptr<Writer> writer);
  Result<Object> Replace(const ObjectRef& ref, Durability durability, const Change& change);
  void Notify();

  const SystemClock system_clock_;
  const Clock& clock_;

  Mutex reader_mu_;
  const std::unique_ptr<Reader> reader_ BACKFILL_TSA(pt_guarded_by(reader_mu_));
  Mutex writer_mu_;
  const std::unique_ptr<Writer> writer_ BACKFILL_TSA(pt_guarded_by(writer_mu_));  // null: read-only

  // Wakes those who wait in this process; changes by others are seen by looking.
  Mutex changes_mu_;
  std::condition_variable_any changed_;
  std::uint64_t changes_ GUARDED_BY(changes_mu_) = 0;
};

}  // namespace backfill::kube
