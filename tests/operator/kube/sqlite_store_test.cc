#include "operator/kube/sqlite_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/operator/kube/temp_dir.h"

namespace {
std::atomic<int> syncs{0};
}  // namespace

// In the way of the C library's, to see when SQLite asks for the disk.
extern "C" int fdatasync(int fd) {
  ++syncs;
  return static_cast<int>(::syscall(SYS_fdatasync, fd));
}
extern "C" int fsync(int fd) {
  ++syncs;
  return static_cast<int>(::syscall(SYS_fsync, fd));
}

namespace backfill::kube {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;

Object Wanted(const std::string& name, const std::string& content = "{}") {
  Object o;
  o.ref = {.kind = std::string(kBackfillKind), .ns = "shop", .name = name};
  o.content = content;
  return o;
}

class SqliteStoreTest : public ::testing::Test {
 protected:
  std::unique_ptr<SqliteStore> Open(const SqliteStore::Options& options = {}) {
    auto store = SqliteStore::Open(file_, options);
    if (!store.ok()) {
      ADD_FAILURE() << store.error().message;
      std::abort();
    }
    return std::move(store).value();
  }
  Error OpenFails(const SqliteStore::Options& options = {}) {
    auto store = SqliteStore::Open(file_, options);
    if (store.ok()) {
      ADD_FAILURE() << "opened";
      return {};
    }
    return store.error();
  }
  Object Create(ObjectStore& store, const std::string& name, const std::string& content = "{}") {
    auto o = store.Create(Wanted(name, content), Durability::kProcess);
    EXPECT_TRUE(o.ok()) << o.error().message;
    return o.ok() ? *o : Object{};
  }
  // What another program does with the file.
  void Raw(const std::string& sql) {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(file_.c_str(), &db), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
        << sqlite3_errmsg(db);
    sqlite3_close(db);
  }
  std::string Bytes() {
    std::ifstream in(file_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void SetBytes(const std::string& bytes) {
    std::ofstream out(file_, std::ios::binary | std::ios::trunc);
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  static std::uint64_t Counter(ObjectStore& store) {
    auto counter = store.WaitForChange(0, Time{}, {});
    EXPECT_TRUE(counter.ok());
    return counter.ok() ? *counter : 0;
  }

  TempDir dir_;
  const std::filesystem::path file_ = dir_.path() / "backfill.db";
};

TEST_F(SqliteStoreTest, WhatWasWrittenIsThereAfterReopening) {
  const Object o = Create(*Open(), "reprice", R"({"spec":1})");
  const auto read = Open()->Get(o.ref);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->uid, o.uid);
  EXPECT_EQ(read->resource_version, o.resource_version);
  EXPECT_EQ(read->creation_time, o.creation_time);
  EXPECT_EQ(read->content, o.content);
}

TEST_F(SqliteStoreTest, VersionsAreNeverUsedAgainAfterReopening) {
  const Object first = Create(*Open(), "a");
  auto store = Open();
  ASSERT_TRUE(store->Delete(first.ref, "").ok());
  EXPECT_NE(Create(*store, "a").resource_version, first.resource_version);
}

TEST_F(SqliteStoreTest, OnlyTheOwnerMayReadTheFiles) {
  const mode_t before = ::umask(0);
  auto store = Open();
  Create(*store, "reprice");
  ::umask(before);
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(dir_.path())) {
    struct stat s{};
    ASSERT_EQ(::stat(entry.path().c_str(), &s), 0);
    EXPECT_EQ(s.st_mode & 0777U, 0600U) << entry.path();
    ++files;
  }
  EXPECT_EQ(files, 3);  // the database, its log and the log's index
}

TEST_F(SqliteStoreTest, OnlyWritesThatMustSurviveLossOfPowerWaitForTheDisk) {
  auto store = Open();
  auto o = store->Create(Wanted("reprice"), Durability::kPower);
  ASSERT_TRUE(o.ok());
  const auto write = [&](Durability durability) {
    o->content = std::to_string(std::stoi(o->resource_version));
    const int before = syncs;
    o = store->Update(*o, durability);
    EXPECT_TRUE(o.ok());
    return syncs - before;
  };
  EXPECT_EQ(write(Durability::kProcess), 0);
  EXPECT_GE(write(Durability::kPower), 1);
  EXPECT_EQ(write(Durability::kProcess), 0);
  EXPECT_EQ(write(Durability::kProcess), 0);
  EXPECT_GE(write(Durability::kPower), 1);
  EXPECT_GE(write(Durability::kPower), 1);
}

TEST_F(SqliteStoreTest, AMissingFolderIsNamed) {
  const auto store = SqliteStore::Open(dir_.path() / "none" / "backfill.db");
  ASSERT_FALSE(store.ok());
  EXPECT_EQ(store.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(store.error().message, AllOf(HasSubstr("none/backfill.db"), HasSubstr("folder")));
}

TEST_F(SqliteStoreTest, AFolderInPlaceOfTheFileIsRefused) {
  const auto store = SqliteStore::Open(dir_.path());
  ASSERT_FALSE(store.ok());
  EXPECT_EQ(store.error().code, ErrorCode::kUnavailable);
}

TEST_F(SqliteStoreTest, AnEmptyFileIsANewStore) {
  SetBytes("");
  Create(*Open(), "reprice");
}

TEST_F(SqliteStoreTest, AFileThatIsNoDatabaseIsRefusedAndKept) {
  const std::string text = "important notes, " + std::string(5000, 'x');
  SetBytes(text);
  const Error error = OpenFails();
  EXPECT_EQ(error.code, ErrorCode::kInternal);
  EXPECT_THAT(error.message, AllOf(HasSubstr(file_.string()), HasSubstr("not a database")));
  EXPECT_EQ(Bytes(), text);
}

TEST_F(SqliteStoreTest, ADatabaseOfAnotherProgramIsRefusedAndKept) {
  Raw("CREATE TABLE customers (id INTEGER); INSERT INTO customers VALUES (1);");
  const std::string before = Bytes();
  const Error error = OpenFails();
  EXPECT_EQ(error.code, ErrorCode::kInvalid);
  EXPECT_THAT(error.message, AllOf(HasSubstr(file_.string()), HasSubstr("another program")));
  EXPECT_EQ(Bytes(), before);
}

TEST_F(SqliteStoreTest, AFileOfANewerVersionIsRefusedAndKept) {
  Create(*Open(), "reprice");
  Raw("PRAGMA user_version = 2; PRAGMA wal_checkpoint(TRUNCATE);");
  const std::string before = Bytes();
  for (const bool read_only : {false, true}) {
    const Error error = OpenFails({.read_only = read_only});
    EXPECT_EQ(error.code, ErrorCode::kInvalid);
    EXPECT_THAT(error.message, AllOf(HasSubstr(file_.string()), HasSubstr("newer version")));
  }
  EXPECT_EQ(Bytes(), before);
}

TEST_F(SqliteStoreTest, TriggersInAForeignFileDoNotRun) {
  Create(*Open(), "reprice");
  Raw("CREATE TRIGGER evil AFTER INSERT ON objects BEGIN DELETE FROM objects; END;");
  auto store = Open();
  Create(*store, "another");
  EXPECT_EQ(store->List(kBackfillKind, "")->size(), 2U);
}

TEST_F(SqliteStoreTest, ADamagedFileIsNamedAndNothingCrashes) {
  {
    auto store = Open();
    for (int i = 0; i < 40; ++i) Create(*store, "b" + std::to_string(i), std::string(3000, 'x'));
  }
  const std::string good = Bytes();
  ASSERT_GT(good.size(), 40U * 3000U);
  std::mt19937 random(7);
  int damaged = 0;
  for (int round = 0; round < 60; ++round) {
    std::string bad = good;
    for (int i = 0; i < 2000; ++i)
      bad[100 + random() % (bad.size() - 100)] = static_cast<char>(random());
    SetBytes(bad);
    const auto check = [&](const Error& error) {
      if (error.code != ErrorCode::kInternal) return;
      EXPECT_THAT(error.message, HasSubstr(file_.string()));
      ++damaged;
    };
    auto store = SqliteStore::Open(file_);
    if (!store.ok()) {
      check(store.error());
      continue;
    }
    if (const auto list = (*store)->List(kBackfillKind, ""); !list.ok()) check(list.error());
    const auto created = (*store)->Create(Wanted("new"), Durability::kProcess);
    if (!created.ok()) check(created.error());
  }
  EXPECT_GT(damaged, 30);
}

TEST_F(SqliteStoreTest, ATruncatedFileIsAnErrorNotAnEmptyStore) {
  {
    auto store = Open();
    for (int i = 0; i < 40; ++i) Create(*store, "b" + std::to_string(i), std::string(3000, 'x'));
  }
  SetBytes(Bytes().substr(0, 3 * 4096));
  auto store = SqliteStore::Open(file_);
  const auto list = store.ok() ? (*store)->List(kBackfillKind, "") : store.error();
  ASSERT_FALSE(list.ok());
  EXPECT_EQ(list.error().code, ErrorCode::kInternal);
  EXPECT_THAT(list.error().message, AllOf(HasSubstr(file_.string()), HasSubstr("damaged")));
}

TEST_F(SqliteStoreTest, ALockedFileIsUnavailableAfterTheTimeout) {
  auto store = Open({.busy_timeout = 30ms});
  Create(*store, "reprice");
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open(file_.c_str(), &other), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(other, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  const auto result = store->Create(Wanted("another"), Durability::kProcess);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(result.error().message,
              AllOf(HasSubstr(file_.string()), HasSubstr("another process")));
  EXPECT_TRUE(store->Get(Wanted("reprice").ref).ok()) << "reads do not wait for writers";
  sqlite3_close(other);
  Create(*store, "another");
}

TEST_F(SqliteStoreTest, AReadOnlyStoreNeedsAFileWithSomethingInIt) {
  EXPECT_EQ(OpenFails({.read_only = true}).code, ErrorCode::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(file_));
  SetBytes("");
  EXPECT_EQ(OpenFails({.read_only = true}).code, ErrorCode::kNotFound);
}

TEST_F(SqliteStoreTest, AReadOnlyStoreSeesWritesOfOthersAndMakesNone) {
  auto writer = Open();
  Create(*writer, "a");
  auto reader = Open({.read_only = true});
  EXPECT_EQ(reader->List(kBackfillKind, "")->size(), 1U);
  const Object b = Create(*writer, "b");
  EXPECT_EQ(reader->List(kBackfillKind, "")->size(), 2U);
  EXPECT_EQ(reader->Create(Wanted("c"), Durability::kProcess).error().code, ErrorCode::kPermission);
  EXPECT_EQ(reader->Update(b, Durability::kProcess).error().code, ErrorCode::kPermission);
  EXPECT_EQ(reader->UpdateStatus(b, Durability::kProcess).error().code, ErrorCode::kPermission);
  EXPECT_EQ(reader->Delete(b.ref, "").error().code, ErrorCode::kPermission);
}

TEST_F(SqliteStoreTest, TwoHandlesConflictAsTwoThreadsDo) {
  auto one = Open();
  auto two = Open();
  Object o = Create(*one, "reprice");
  Object mine = o;
  mine.content = "1";
  ASSERT_TRUE(one->Update(mine, Durability::kProcess).ok());
  Object late = o;
  late.content = "2";
  EXPECT_EQ(two->Update(late, Durability::kProcess).error().code, ErrorCode::kConflict);
  EXPECT_EQ(two->Get(o.ref)->content, "1");
  EXPECT_EQ(Counter(*one), Counter(*two));
}

TEST_F(SqliteStoreTest, ManyMayOpenANewFileAtTheSameTime) {
  for (int round = 0; round < 25;
       ++round) {  // one that reads while another one initialises is rare
    std::filesystem::remove(file_);
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&, i] { Create(*Open(), "b" + std::to_string(i)); });
    }
    threads.clear();
    EXPECT_EQ(Open()->List(kBackfillKind, "")->size(), 4U);
  }
}

TEST_F(SqliteStoreTest, AFullFileSaysSoKeepsWhatIsThereAndGoesOnWhenThereIsRoom) {
  auto store = Open({.max_page_count = 64});
  std::vector<Object> stored;
  std::optional<Error> full;
  for (int i = 0; i < 100 && !full; ++i) {
    auto o = store->Create(Wanted("b" + std::to_string(i), std::string(10'000, 'x')),
                           Durability::kPower);
    if (o.ok()) {
      stored.push_back(*o);
    } else {
      full = o.error();
    }
  }
  ASSERT_TRUE(full);
  EXPECT_EQ(full->code, ErrorCode::kUnavailable);
  EXPECT_THAT(full->message, AllOf(HasSubstr(file_.string()), HasSubstr("disk space")));
  ASSERT_GT(stored.size(), 5U);

  for (const Object& o : stored) EXPECT_EQ(store->Get(o.ref)->content, o.content);
  EXPECT_EQ(store->List(kBackfillKind, "")->size(), stored.size());
  Object larger = stored.back();
  larger.content += std::string(10'000, 'y');
  EXPECT_EQ(store->Update(larger, Durability::kPower).error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(store->Get(larger.ref)->resource_version, stored.back().resource_version);

  ASSERT_TRUE(store->Delete(stored.front().ref, "").ok());
  ASSERT_TRUE(store->Create(Wanted("after", std::string(8'000, 'x')), Durability::kPower).ok());
  store.reset();
  EXPECT_EQ(Open()->List(kBackfillKind, "")->size(), stored.size());
}

}  // namespace
}  // namespace backfill::kube
