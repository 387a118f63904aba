#include "operator/kube/sqlite_database.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <system_error>
#include <utility>

namespace backfill::kube {
namespace {

// No value of ours comes near it; a hostile file cannot make us allocate more.
constexpr int kMaxValueBytes = 8 * 1024 * 1024;

constexpr std::chrono::milliseconds kLockedRetry{10};

std::string Reason(sqlite3* connection) {
  const int os_error = sqlite3_system_errno(connection);
  if (os_error == 0) return sqlite3_errmsg(connection);
  return fmt::format("{}, {}", sqlite3_errmsg(connection),
                     std::system_category().message(os_error));
}

}  // namespace

SqliteStatement::SqliteStatement(SqliteStatement&& other) noexcept
    : database_(other.database_),
      statement_(std::exchange(other.statement_, nullptr)),
      bind_error_(other.bind_error_) {}

SqliteStatement::~SqliteStatement() { sqlite3_finalize(statement_); }

SqliteStatement& SqliteStatement::Bind(int parameter, std::string_view text) {
  // A null pointer would bind NULL.
  const char* data = text.data() != nullptr ? text.data() : "";
  const int code =
      sqlite3_bind_text64(statement_, parameter, data, text.size(), SQLITE_STATIC, SQLITE_UTF8);
  if (code != SQLITE_OK) bind_error_ = code;
  return *this;
}

SqliteStatement& SqliteStatement::Bind(int parameter, std::int64_t number) {
  const int code = sqlite3_bind_int64(statement_, parameter, number);
  if (code != SQLITE_OK) bind_error_ = code;
  return *this;
}

Result<bool> SqliteStatement::Step() {
  const int code = bind_error_ != SQLITE_OK ? bind_error_ : sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) {
    Reset();
    return false;
  }
  const Error error = database_.Translate(code);
  Reset();
  return error;
}

std::string SqliteStatement::Text(int column) const {
  const unsigned char* text = sqlite3_column_text(statement_, column);
  if (text == nullptr) return "";
  return {reinterpret_cast<const char*>(text),
          static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

std::int64_t SqliteStatement::Number(int column) const {
  return sqlite3_column_int64(statement_, column);
}

void SqliteStatement::Reset() {
  sqlite3_reset(statement_);  // repeats the error of the last step
  sqlite3_clear_bindings(statement_);
  bind_error_ = SQLITE_OK;
}

Result<std::unique_ptr<SqliteDatabase>> SqliteDatabase::Open(
    const std::filesystem::path& file, Mode mode, std::chrono::milliseconds busy_timeout) {
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  switch (mode) {
    case Mode::kReadOnly:
      flags |= SQLITE_OPEN_READONLY;
      break;
    case Mode::kReadWrite:
      flags |= SQLITE_OPEN_READWRITE;
      break;
    case Mode::kCreate:
      flags |= SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
      break;
  }
  // An absolute path: a name such as ":memory:" or "" would mean something else to SQLite.
  std::error_code
      ignored;  // absolute() fails only without a current folder; then the open fails and says so
  const std::string path = std::filesystem::absolute(file, ignored).string();
  sqlite3* connection = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &connection, flags, nullptr);
  if (connection == nullptr)
    return Error{ErrorCode::kUnavailable, file.string() + ": out of memory"};
  std::unique_ptr<SqliteDatabase> database(new SqliteDatabase(file.string(), connection));
  if (code != SQLITE_OK) return database->Translate(code);
  sqlite3_busy_timeout(connection, static_cast<int>(busy_timeout.count()));
  sqlite3_limit(connection, SQLITE_LIMIT_LENGTH, kMaxValueBytes);
  // The file may come from anyone: its schema must not run anything.
  sqlite3_db_config(connection, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(connection, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(connection, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, nullptr);
  sqlite3_db_config(connection, SQLITE_DBCONFIG_ENABLE_VIEW, 0, nullptr);
  return database;
}

SqliteDatabase::~SqliteDatabase() { sqlite3_close_v2(connection_); }

Status SqliteDatabase::Execute(const std::string& sql) {
  const int code = sqlite3_exec(connection_, sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return Translate(code);
  return Ok{};
}

Result<SqliteStatement> SqliteDatabase::Prepare(const std::string& sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(connection_, sql.c_str(), -1, SQLITE_PREPARE_PERSISTENT,
                                      &statement, nullptr);
  if (code != SQLITE_OK) return Translate(code);
  return SqliteStatement(*this, statement);
}

Result<std::int64_t> SqliteDatabase::Number(const std::string& sql) {
  SqliteStatement statement = TRY(Prepare(sql));
  const bool row = TRY(statement.Step());
  return row ? statement.Number(0) : 0;
}

Result<std::string> SqliteDatabase::Text(const std::string& sql) {
  SqliteStatement statement = TRY(Prepare(sql));
  const bool row = TRY(statement.Step());
  return row ? statement.Text(0) : "";
}

Error SqliteDatabase::Translate(int code) const {
  const std::string reason = Reason(connection_);
  const auto error = [&](ErrorCode meaning, std::string_view what) {
    return Error{meaning, fmt::format("{}: {} ({})", file_, what, reason)};
  };
  switch (code & 0xFF) {  // the primary code; the rest says more about it
    case SQLITE_BUSY:
    case SQLITE_LOCKED: {
      Error locked = error(ErrorCode::kUnavailable, "another process keeps it locked; try again");
      locked.retry_after = kLockedRetry;
      return locked;
    }
    case SQLITE_FULL:
      return error(ErrorCode::kUnavailable,
                   "there is no room left for it; free some disk space, nothing is lost");
    case SQLITE_IOERR:
      return error(ErrorCode::kUnavailable,
                   "reading or writing it failed; check the disk and its free space");
    case SQLITE_READONLY:
      return error(
          ErrorCode::kUnavailable,
          "it cannot be written; check the permissions of the file and its folder, and that "
          "the file system is not mounted read-only");
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
      return error(ErrorCode::kUnavailable,
                   "it cannot be opened; check that its folder exists and is writable");
    case SQLITE_NOMEM:
      return error(ErrorCode::kUnavailable, "out of memory");
    case SQLITE_NOTADB:
      return error(ErrorCode::kInternal,
                   "this is not a database, or a damaged one; it was left as it is");
    case SQLITE_CORRUPT:
      return error(ErrorCode::kInternal, "the file is damaged; it was left as it is");
    case SQLITE_TOOBIG:
      return error(ErrorCode::kInvalid, "a value is too large");
    default:
      return error(ErrorCode::kInternal, fmt::format("unexpected SQLite error {}", code));
  }
}

bool SqliteDatabase::in_transaction() const { return sqlite3_get_autocommit(connection_) == 0; }

Result<SqliteTransaction> SqliteTransaction::Begin(SqliteDatabase& database) {
  // IMMEDIATE: a transaction that begins as a reader and then writes would fail instead of waiting.
  TRY(database.Execute("BEGIN IMMEDIATE"));
  return SqliteTransaction(database);
}

SqliteTransaction::~SqliteTransaction() {
  if (database_ == nullptr || !database_->in_transaction()) return;
  // A rollback cannot fail in a way that matters: what is not committed does not count.
  const Status ignored = database_->Execute("ROLLBACK");
  static_cast<void>(ignored);
}

Status SqliteTransaction::Commit() { return database_->Execute("COMMIT"); }

}  // namespace backfill::kube
