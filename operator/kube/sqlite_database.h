#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

// SQLite behind Result: the only place that calls its C interface.
namespace backfill::kube {

class SqliteDatabase;

// A prepared statement. Values are bound, never pasted into the text. Lives no longer than its
// database; used by the thread that uses the database.
class SqliteStatement {
 public:
  SqliteStatement(SqliteStatement&&) noexcept;
  SqliteStatement& operator=(SqliteStatement&&) = delete;
  ~SqliteStatement();

  // Parameters count from 1. A bound text is not copied: it must live until Reset(). Failures show
  // in Step().
  SqliteStatement& Bind(int parameter, std::string_view text);
  SqliteStatement& Bind(int parameter, std::int64_t number);

  // true: there is a row to read. After an error or the last row the statement is reset by itself.
  Result<bool> Step();

  // Columns of the row count from 0.
  [[nodiscard]] std::string Text(int column) const;
  [[nodiscard]] std::int64_t Number(int column) const;

  // Ends the read that an unfinished statement holds open, and forgets what was bound.
  void Reset();

 private:
  friend class SqliteDatabase;
  SqliteStatement(SqliteDatabase& database, sqlite3_stmt* statement)
      : database_(database), statement_(statement) {}

  SqliteDatabase& database_;
  sqlite3_stmt* statement_;
  int bind_error_ = 0;
};

// Resets the statement at the end of the block, so that no read stays open between calls.
class SqliteUse {
 public:
  explicit SqliteUse(SqliteStatement& statement) : statement_(statement) {}
  ~SqliteUse() { statement_.Reset(); }
  SqliteUse(const SqliteUse&) = delete;
  SqliteUse& operator=(const SqliteUse&) = delete;
  SqliteStatement* operator->() { return &statement_; }

 private:
  SqliteStatement& statement_;
};

// One connection to one file. Not thread-safe. Errors name the file and say what to do:
// kUnavailable: locked for longer than the busy timeout (then, and only then, with retry_after), no
// room, read-only, or the disk fails; kInternal: damaged, or no database; kInvalid: a value is too
// large.
class SqliteDatabase {
 public:
  enum class Mode { kReadOnly, kReadWrite, kCreate };

  static Result<std::unique_ptr<SqliteDatabase>> Open(const std::filesystem::path& file, Mode mode,
                                                      std::chrono::milliseconds busy_timeout);
  ~SqliteDatabase();
  SqliteDatabase(const SqliteDatabase&) = delete;
  SqliteDatabase& operator=(const SqliteDatabase&) = delete;

  // Statements without parameters, separated by semicolons; rows are dropped. `sql` is a constant
  // of ours.
  Status Execute(const std::string& sql);
  Result<SqliteStatement> Prepare(const std::string& sql);
  // The first column of the first row.
  Result<std::int64_t> Number(const std::string& sql);
  Result<std::string> Text(const std::string& sql);

  // What `code`, which a call on this connection just returned, means to a caller.
  [[nodiscard]] Error Translate(int code) const;

  [[nodiscard]] bool in_transaction() const;
  [[nodiscard]] const std::string& file() const { return file_; }

 private:
  SqliteDatabase(std::string file, sqlite3* connection)
      : file_(std::move(file)), connection_(connection) {}

  const std::string file_;
  sqlite3* const connection_;
};

// A write transaction; rolled back unless committed.
class SqliteTransaction {
 public:
  static Result<SqliteTransaction> Begin(SqliteDatabase& database);
  SqliteTransaction(SqliteTransaction&& other) noexcept : database_(other.database_) {
    other.database_ = nullptr;
  }
  SqliteTransaction& operator=(SqliteTransaction&&) = delete;
  ~SqliteTransaction();
  Status Commit();

 private:
  explicit SqliteTransaction(SqliteDatabase& database) : database_(&database) {}
  SqliteDatabase* database_;
};

}  // namespace backfill::kube
