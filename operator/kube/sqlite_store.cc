#include "operator/kube/sqlite_store.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <utility>

#include "operator/kube/object_writes.h"
#include "operator/kube/sqlite_database.h"

namespace backfill::kube {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;

constexpr std::int64_t kApplicationId = 0x4246494C;  // "BFIL", in the file's header
constexpr std::int64_t kSchemaVersion = 1;

// How often a waiter looks for changes by other processes: one indexed read, some ten microseconds.
constexpr Duration kLook = 20ms;

// `counter` counts all changes; an object's version is its value at the object's last change.
constexpr char kSchema[] = R"sql(
CREATE TABLE counter (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  version INTEGER NOT NULL
) STRICT;
INSERT INTO counter VALUES (1, 0);
CREATE TABLE objects (
  kind TEXT NOT NULL,
  ns TEXT NOT NULL,
  name TEXT NOT NULL,
  uid TEXT NOT NULL UNIQUE,
  version INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  creation_time TEXT NOT NULL,
  owner_uid TEXT NOT NULL,
  annotations TEXT NOT NULL,
  labels TEXT NOT NULL,
  content TEXT NOT NULL,
  status TEXT NOT NULL,
  PRIMARY KEY (kind, ns, name)
) STRICT;
CREATE INDEX objects_by_owner ON objects (owner_uid) WHERE owner_uid <> '';
PRAGMA application_id = 0x4246494C;
PRAGMA user_version = 1;
)sql";

constexpr char kColumns[] =
    "kind, ns, name, uid, version, generation, creation_time, owner_uid, annotations, labels, "
    "content, "
    "status";
constexpr char kGet[] = "SELECT {} FROM objects WHERE kind = ?1 AND ns = ?2 AND name = ?3";
constexpr char kListAll[] = "SELECT {} FROM objects WHERE kind = ?1 ORDER BY ns, name";
constexpr char kList[] = "SELECT {} FROM objects WHERE kind = ?1 AND ns = ?2 ORDER BY name";
constexpr char kInsert[] =
    "INSERT INTO objects ({}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
constexpr char kReplace[] =
    "UPDATE objects SET version = ?4, generation = ?5, annotations = ?6, labels = ?7, content = "
    "?8, "
    "status = ?9 WHERE kind = ?1 AND ns = ?2 AND name = ?3";
// UNION drops what was found before, so a ring of owners ends.
constexpr char kDelete[] =
    "WITH RECURSIVE doomed(uid) AS (VALUES (?1) UNION SELECT objects.uid FROM objects JOIN doomed "
    "ON "
    "objects.owner_uid = doomed.uid WHERE objects.owner_uid <> '') "
    "DELETE FROM objects WHERE uid IN (SELECT uid FROM doomed)";
constexpr char kVersion[] = "SELECT version FROM counter WHERE id = 1";
constexpr char kSetVersion[] = "UPDATE counter SET version = ?1 WHERE id = 1";

std::string EncodeMap(const std::map<std::string, std::string>& map) {
  if (map.empty()) return "{}";
  return Json(map).dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<std::map<std::string, std::string>> DecodeMap(const std::string& text,
                                                     const std::string& file) {
  std::map<std::string, std::string> map;
  if (text == "{}") return map;
  const Error damaged{ErrorCode::kInternal, file + ": the file is damaged: a map of texts is none"};
  // Values are texts: whatever nests is wrong, so the parser need not go deep.
  const Json json = Json::parse(
      text, [](int depth, Json::parse_event_t, Json&) { return depth <= 1; },
      /*allow_exceptions=*/false);
  if (!json.is_object()) return damaged;
  for (const auto& [key, value] : json.items()) {
    if (!value.is_string()) return damaged;
    map.emplace(key, value.get<std::string>());
  }
  return map;
}

Result<Object> ReadObject(const SqliteStatement& row, const std::string& file) {
  Object o;
  o.ref = {.kind = row.Text(0), .ns = row.Text(1), .name = row.Text(2)};
  o.uid = row.Text(3);
  o.resource_version = std::to_string(row.Number(4));
  o.generation = row.Number(5);
  o.creation_time = row.Text(6);
  o.owner_uid = row.Text(7);
  o.annotations = TRY(DecodeMap(row.Text(8), file));
  o.labels = TRY(DecodeMap(row.Text(9), file));
  o.content = row.Text(10);
  o.status = row.Text(11);
  return o;
}

Result<std::optional<Object>> FindObject(SqliteStatement& get, const ObjectRef& ref,
                                         const std::string& file) {
  SqliteUse use(get);
  use->Bind(1, ref.kind).Bind(2, ref.ns).Bind(3, ref.name);
  if (!TRY(use->Step())) return std::optional<Object>();
  return std::optional<Object>(TRY(ReadObject(get, file)));
}

Result<std::uint64_t> ReadVersion(SqliteStatement& version, const std::string& file) {
  SqliteUse use(version);
  if (!TRY(use->Step())) {
    return Error{ErrorCode::kInternal,
                 file + ": the file is damaged: the change counter is missing"};
  }
  return static_cast<std::uint64_t>(use->Number(0));
}

enum class Contents { kNothing, kOurs };

// What the file holds. Reads only, so that a file that is not ours stays as it is.
Result<Contents> Recognise(SqliteDatabase& database) {
  // One statement sees one state: another process may be writing the schema right now.
  SqliteStatement row =
      TRY(database.Prepare("SELECT count(*), (SELECT application_id FROM pragma_application_id), "
                           "(SELECT user_version FROM pragma_user_version) FROM sqlite_schema"));
  TRY(row.Step());
  const std::int64_t tables = row.Number(0);
  const std::int64_t application = row.Number(1);
  const std::int64_t version = row.Number(2);
  if (application == 0 && version == 0 && tables == 0) return Contents::kNothing;
  if (application != kApplicationId) {
    return Error{ErrorCode::kInvalid,
                 database.file() + ": this is a database of another program; it was left as it is"};
  }
  if (version > kSchemaVersion) {
    return Error{
        ErrorCode::kInvalid,
        fmt::format("{}: a newer version of backfill has written this file (format {}, this one "
                    "knows {}); use that version, or another folder; the file was left as it is",
                    database.file(), version, kSchemaVersion)};
  }
  return Contents::kOurs;
}

// The change to WAL needs the file for itself for a moment and does not wait for it on its own.
Status SwitchToWal(SqliteDatabase& database, Time deadline) {
  for (;;) {
    Result<std::string> mode = database.Text("PRAGMA journal_mode = WAL");
    if (mode.ok() && *mode == "wal") return Ok{};
    if (mode.ok()) {
      return Error{
          ErrorCode::kUnavailable,
          database.file() + ": this file system cannot hold it: SQLite's WAL needs shared memory"};
    }
    const std::optional<std::chrono::milliseconds> locked = mode.error().retry_after;
    if (!locked || std::chrono::steady_clock::now() >= deadline) return mode.error();
    std::this_thread::sleep_for(*locked);
  }
}

Status Initialise(SqliteDatabase& database) {
  SqliteTransaction transaction = TRY(SqliteTransaction::Begin(database));
  // Another process may have been quicker.
  if (TRY(Recognise(database)) == Contents::kNothing) TRY(database.Execute(kSchema));
  return transaction.Commit();
}

Error ReadOnly(const ObjectRef& ref) {
  return {ErrorCode::kPermission, Describe(ref) + ": the store was opened for reading only"};
}

}  // namespace

struct SqliteStore::Reader {
  std::unique_ptr<SqliteDatabase> database;
  SqliteStatement get, list, list_all, version;

  static Result<std::unique_ptr<Reader>> Make(std::unique_ptr<SqliteDatabase> database) {
    SqliteStatement get = TRY(database->Prepare(fmt::format(kGet, kColumns)));
    SqliteStatement list = TRY(database->Prepare(fmt::format(kList, kColumns)));
    SqliteStatement list_all = TRY(database->Prepare(fmt::format(kListAll, kColumns)));
    SqliteStatement version = TRY(database->Prepare(kVersion));
    return std::unique_ptr<Reader>(new Reader{std::move(database), std::move(get), std::move(list),
                                              std::move(list_all), std::move(version)});
  }
};

struct SqliteStore::Writer {
  std::unique_ptr<SqliteDatabase> database;
  SqliteStatement get, insert, replace, remove, version, set_version;
  std::optional<Durability> synchronous;  // as set on the connection

  static Result<std::unique_ptr<Writer>> Make(std::unique_ptr<SqliteDatabase> database) {
    SqliteStatement get = TRY(database->Prepare(fmt::format(kGet, kColumns)));
    SqliteStatement insert = TRY(database->Prepare(fmt::format(kInsert, kColumns)));
    SqliteStatement replace = TRY(database->Prepare(kReplace));
    SqliteStatement remove = TRY(database->Prepare(kDelete));
    SqliteStatement version = TRY(database->Prepare(kVersion));
    SqliteStatement set_version = TRY(database->Prepare(kSetVersion));
    return std::unique_ptr<Writer>(
        new Writer{std::move(database), std::move(get), std::move(insert), std::move(replace),
                   std::move(remove), std::move(version), std::move(set_version), std::nullopt});
  }

  Result<SqliteTransaction> Begin(Durability durability) {
    if (synchronous != durability) {  // cannot be changed inside a transaction
      synchronous.reset();
      TRY(database->Execute(durability == Durability::kPower ? "PRAGMA synchronous = FULL"
                                                             : "PRAGMA synchronous = NORMAL"));
      synchronous = durability;
    }
    return SqliteTransaction::Begin(*database);
  }

  Result<std::optional<Object>> Find(const ObjectRef& ref) {
    return FindObject(get, ref, database->file());
  }

  Result<std::uint64_t> NextVersion() { return TRY(ReadVersion(version, database->file())) + 1; }

  Status Insert(const Object& o, std::uint64_t new_version) {
    const std::string annotations = EncodeMap(o.annotations);
    const std::string labels = EncodeMap(o.labels);
    SqliteUse use(insert);
    use->Bind(1, o.ref.kind).Bind(2, o.ref.ns).Bind(3, o.ref.name).Bind(4, o.uid);
    use->Bind(5, static_cast<std::int64_t>(new_version)).Bind(6, o.generation);
    use->Bind(7, o.creation_time).Bind(8, o.owner_uid);
    use->Bind(9, annotations).Bind(10, labels).Bind(11, o.content).Bind(12, o.status);
    TRY(use->Step());
    return Ok{};
  }

  Status Replace(const Object& o, std::uint64_t new_version) {
    const std::string annotations = EncodeMap(o.annotations);
    const std::string labels = EncodeMap(o.labels);
    SqliteUse use(replace);
    use->Bind(1, o.ref.kind).Bind(2, o.ref.ns).Bind(3, o.ref.name);
    use->Bind(4, static_cast<std::int64_t>(new_version)).Bind(5, o.generation);
    use->Bind(6, annotations).Bind(7, labels).Bind(8, o.content).Bind(9, o.status);
    TRY(use->Step());
    return Ok{};
  }

  Status Remove(const std::string& uid) {
    SqliteUse use(remove);
    use->Bind(1, uid);
    TRY(use->Step());
    return Ok{};
  }

  Status Commit(SqliteTransaction& transaction, std::uint64_t new_version) {
    {
      SqliteUse use(set_version);
      use->Bind(1, static_cast<std::int64_t>(new_version));
      TRY(use->Step());
    }
    return transaction.Commit();
  }
};

Result<std::unique_ptr<SqliteStore>> SqliteStore::Open(const std::filesystem::path& file,
                                                       const Options& options) {
  std::error_code error;
  const bool existed = std::filesystem::exists(file, error);
  if (error)
    return Error{ErrorCode::kUnavailable, fmt::format("{}: {}", file.string(), error.message())};
  if (!existed && options.read_only) {
    return Error{ErrorCode::kNotFound, file.string() + ": there is no such file"};
  }
  if (options.read_only) {
    std::unique_ptr<SqliteDatabase> database =
        TRY(SqliteDatabase::Open(file, SqliteDatabase::Mode::kReadOnly, options.busy_timeout));
    if (TRY(Recognise(*database)) == Contents::kNothing) {
      return Error{ErrorCode::kNotFound, file.string() + ": there is nothing in it yet"};
    }
    std::unique_ptr<Reader> reader = TRY(Reader::Make(std::move(database)));
    return std::unique_ptr<SqliteStore>(new SqliteStore(options.clock, std::move(reader), nullptr));
  }

  std::unique_ptr<SqliteDatabase> database =
      TRY(SqliteDatabase::Open(file, SqliteDatabase::Mode::kCreate, options.busy_timeout));
  // Before anything is in it; SQLite gives the files beside it the same mode. Not by opening the
  // file ourselves: closing it again would drop the locks that another handle of this process has
  // on it.
  if (TRY(Recognise(*database)) == Contents::kNothing &&
      ::chmod(file.c_str(), S_IRUSR | S_IWUSR) != 0) {
    return Error{ErrorCode::kUnavailable, file.string() + ": its mode cannot be set to 0600"};
  }
  const Time deadline = std::chrono::steady_clock::now() + options.busy_timeout;
  TRY(SwitchToWal(*database, deadline));
  TRY(Initialise(*database));
  // A checkpoint shrinks the log again after a burst of large writes.
  TRY(database->Execute("PRAGMA journal_size_limit = 16777216"));
  if (options.max_page_count > 0) {
    TRY(database->Execute(fmt::format("PRAGMA max_page_count = {}", options.max_page_count)));
  }
  std::unique_ptr<Writer> writer = TRY(Writer::Make(std::move(database)));

  // Opened for writing, since only so it can repair the log after a crash; asked never to write.
  std::unique_ptr<SqliteDatabase> second =
      TRY(SqliteDatabase::Open(file, SqliteDatabase::Mode::kReadWrite, options.busy_timeout));
  TRY(second->Execute("PRAGMA query_only = ON"));
  std::unique_ptr<Reader> reader = TRY(Reader::Make(std::move(second)));
  return std::unique_ptr<SqliteStore>(
      new SqliteStore(options.clock, std::move(reader), std::move(writer)));
}

SqliteStore::SqliteStore(const Clock* clock, std::unique_ptr<Reader> reader,
                         std::unique_ptr<Writer> writer)
    : clock_(clock != nullptr ? *clock : system_clock_),
      reader_(std::move(reader)),
      writer_(std::move(writer)) {}

SqliteStore::~SqliteStore() = default;

Result<Object> SqliteStore::Get(const ObjectRef& ref) {
  MutexLock l(reader_mu_);
  std::optional<Object> found = TRY(FindObject(reader_->get, ref, reader_->database->file()));
  if (!found) return NotFound(ref);
  return std::move(*found);
}

Result<std::vector<Object>> SqliteStore::List(std::string_view kind, std::string_view ns) {
  MutexLock l(reader_mu_);
  SqliteUse use(ns.empty() ? reader_->list_all : reader_->list);
  use->Bind(1, kind);
  if (!ns.empty()) use->Bind(2, ns);
  std::vector<Object> found;
  while (TRY(use->Step()))
    found.push_back(TRY(ReadObject(*use.operator->(), reader_->database->file())));
  return found;
}

Result<Object> SqliteStore::Create(const Object& object, Durability durability) {
  if (writer_ == nullptr) return ReadOnly(object.ref);
  MutexLock l(writer_mu_);
  SqliteTransaction transaction = TRY(writer_->Begin(durability));
  const std::uint64_t version = TRY(writer_->NextVersion());
  Object created = TRY(MakeCreated(object, version, clock_.Wall()));
  if (TRY(writer_->Find(created.ref))) return NameTaken(created.ref);
  TRY(writer_->Insert(created, version));
  TRY(writer_->Commit(transaction, version));
  Notify();
  return created;
}

Result<Object> SqliteStore::Update(const Object& object, Durability durability) {
  return Replace(object.ref, durability, [&](const Object& current, std::uint64_t version) {
    return MakeUpdated(current, object, version);
  });
}

Result<Object> SqliteStore::UpdateStatus(const Object& object, Durability durability) {
  return Replace(object.ref, durability, [&](const Object& current, std::uint64_t version) {
    return MakeStatusUpdated(current, object, version);
  });
}

Result<Object> SqliteStore::Replace(const ObjectRef& ref, Durability durability,
                                    const Change& change) {
  if (writer_ == nullptr) return ReadOnly(ref);
  MutexLock l(writer_mu_);
  SqliteTransaction transaction = TRY(writer_->Begin(durability));
  const std::uint64_t version = TRY(writer_->NextVersion());
  std::optional<Object> current = TRY(writer_->Find(ref));
  if (!current) return NotFound(ref);
  std::optional<Object> next = TRY(change(*current, version));
  if (!next) return std::move(*current);
  TRY(writer_->Replace(*next, version));
  TRY(writer_->Commit(transaction, version));
  Notify();
  return std::move(*next);
}

Status SqliteStore::Delete(const ObjectRef& ref, std::string_view uid) {
  if (writer_ == nullptr) return ReadOnly(ref);
  MutexLock l(writer_mu_);
  SqliteTransaction transaction = TRY(writer_->Begin(Durability::kPower));
  const std::uint64_t version = TRY(writer_->NextVersion());
  const std::optional<Object> current = TRY(writer_->Find(ref));
  if (!current) return NotFound(ref);
  if (!uid.empty() && current->uid != uid) return OtherUid(ref);
  TRY(writer_->Remove(current->uid));
  TRY(writer_->Commit(transaction, version));
  Notify();
  return Ok{};
}

void SqliteStore::Notify() {
  {
    MutexLock l(changes_mu_);
    ++changes_;
  }
  changed_.notify_all();
}

Result<std::uint64_t> SqliteStore::WaitForChange(std::uint64_t seen, Time deadline,
                                                 std::stop_token stop) {
  for (;;) {
    std::uint64_t changes = 0;
    {
      MutexLock l(changes_mu_);
      changes = changes_;  // before the look, so that a change after it wakes us
    }
    {
      MutexLock l(reader_mu_);
      const std::uint64_t version = TRY(ReadVersion(reader_->version, reader_->database->file()));
      if (version != seen || stop.stop_requested() ||
          std::chrono::steady_clock::now() >= deadline) {
        return version;
      }
    }
    MutexLock l(changes_mu_);
    const Time next_look =
        std::min(deadline, std::chrono::steady_clock::now() + Time::duration(kLook));
    changed_.wait_until(changes_mu_, stop, next_look,
                        [&]() REQUIRES(changes_mu_) { return changes_ != changes; });
  }
}

}  // namespace backfill::kube
