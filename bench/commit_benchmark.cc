// Durable commits beside SQLite and LMDB: a state of 262144 values of 16 bytes,
// of which a commit changes 100, one in each of 100 of 1024 stretches of 4 KiB.
// All three sync before a commit is said to be done, and write to a folder of
// their own in one folder:
//
//   mmsb     100 deltas of pages of 4 KiB; its default options
//   sqlite   100 updates of rows by their integer key; journal_mode=WAL,
//            synchronous=FULL, and what else is the default
//   lmdb     100 puts by integer keys; the default, synchronous
//
//   TMPDIR=FOLDER bazel-bin/bench/commit_benchmark
//
// An item is a commit. What each writes besides, to keep its files in bounds
// (checkpoints), is part of it.

#include <lmdb.h>
#include <sqlite3.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "bench/store_workload.h"
#include "benchmark/benchmark.h"

namespace mmsb {
namespace {

constexpr size_t kPageBytes = 4096;
constexpr size_t kPages = 1024;
constexpr size_t kValueBytes = 16;
constexpr size_t kValuesPerPage = kPageBytes / kValueBytes;
constexpr size_t kValues = kPages * kValuesPerPage;
constexpr size_t kChanges = 100;

// What each commit changes in the peers, chosen as BenchStore does.
class Changes {
 public:
  struct Change {
    size_t value;  // its number
    std::byte bytes[kValueBytes];
  };

  // Ascending.
  std::vector<Change> Next() {
    std::vector<size_t> pages;
    while (pages.size() < kChanges) {
      pages.push_back(random_() % kPages);
      std::ranges::sort(pages);
      const auto same = std::ranges::unique(pages);
      pages.erase(same.begin(), same.end());
    }
    std::vector<Change> changes(kChanges);
    for (size_t i = 0; i < kChanges; ++i) {
      changes[i].value = pages[i] * kValuesPerPage + random_() % kValuesPerPage;
      for (std::byte& b : changes[i].bytes) {
        b = static_cast<std::byte>(random_());
      }
    }
    return changes;
  }

  std::vector<std::byte> First() {
    std::vector<std::byte> state(kPages * kPageBytes);
    for (std::byte& b : state) b = static_cast<std::byte>(random_());
    return state;
  }

 private:
  std::mt19937_64 random_{512};
};

template <class Commit>
void Run(benchmark::State& state, Changes& changes, Commit commit) {
  for (auto _ : state) {
    commit(changes.Next());
  }
  state.SetItemsProcessed(state.iterations());
}

void CommitMmsb(benchmark::State& state) {
  const BenchFolder folder;
  BenchStore store(folder.In("store"), kPages, kPageBytes);
  for (auto _ : state) store.Change(kChanges);
  state.SetItemsProcessed(state.iterations());
}

void CommitSqlite(benchmark::State& state) {
  const BenchFolder folder;
  Changes changes;
  const std::vector<std::byte> contents = changes.First();
  sqlite3* db = nullptr;
  const auto require = [&](int code, int expected = SQLITE_OK) {
    Require(code == expected, "sqlite", sqlite3_errmsg(db));
  };
  require(sqlite3_open(folder.In("db").c_str(), &db));
  const auto execute = [&](const char* sql) {
    require(sqlite3_exec(db, sql, nullptr, nullptr, nullptr));
  };
  execute("PRAGMA journal_mode=WAL");
  execute("PRAGMA synchronous=FULL");
  execute("CREATE TABLE state(id INTEGER PRIMARY KEY, value BLOB)");
  const auto prepare = [&](const char* sql) {
    sqlite3_stmt* statement = nullptr;
    require(sqlite3_prepare_v2(db, sql, -1, &statement, nullptr));
    return statement;
  };
  sqlite3_stmt* const begin = prepare("BEGIN IMMEDIATE");
  sqlite3_stmt* const commit = prepare("COMMIT");
  sqlite3_stmt* const insert = prepare("INSERT INTO state VALUES(?2, ?1)");
  sqlite3_stmt* const update =
      prepare("UPDATE state SET value = ?1 WHERE id = ?2");
  const auto step = [&](sqlite3_stmt* statement) {
    require(sqlite3_step(statement), SQLITE_DONE);
    require(sqlite3_reset(statement));
  };
  const auto put = [&](sqlite3_stmt* statement, size_t value,
                       const std::byte* bytes) {
    require(sqlite3_bind_blob(statement, 1, bytes, kValueBytes, SQLITE_STATIC));
    require(sqlite3_bind_int64(statement, 2, static_cast<int64_t>(value)));
    step(statement);
  };
  step(begin);
  for (size_t i = 0; i < kValues; ++i) {
    put(insert, i, contents.data() + i * kValueBytes);
  }
  step(commit);
  Run(state, changes, [&](std::span<const Changes::Change> next) {
    step(begin);
    for (const Changes::Change& change : next) {
      put(update, change.value, change.bytes);
    }
    step(commit);
  });
  for (sqlite3_stmt* statement : {begin, commit, insert, update}) {
    sqlite3_finalize(statement);
  }
  sqlite3_close(db);
}

void CommitLmdb(benchmark::State& state) {
  const BenchFolder folder;
  Changes changes;
  std::vector<std::byte> contents = changes.First();
  const auto require = [](int code) {
    Require(code == 0, "lmdb", mdb_strerror(code));
  };
  MDB_env* env = nullptr;
  require(mdb_env_create(&env));
  require(mdb_env_set_mapsize(env, size_t{1} << 30));
  require(mdb_env_open(env, folder.In("db").c_str(), MDB_NOSUBDIR, 0600));
  MDB_txn* transaction = nullptr;
  MDB_dbi dbi = 0;
  const auto put = [&](size_t value, std::byte* bytes, unsigned flags) {
    MDB_val key = {sizeof(value), &value};
    MDB_val data = {kValueBytes, bytes};
    require(mdb_put(transaction, dbi, &key, &data, flags));
  };
  require(mdb_txn_begin(env, nullptr, 0, &transaction));
  require(mdb_dbi_open(transaction, nullptr, MDB_INTEGERKEY, &dbi));
  for (size_t i = 0; i < kValues; ++i) {
    put(i, contents.data() + i * kValueBytes, MDB_APPEND);
  }
  require(mdb_txn_commit(transaction));
  Run(state, changes, [&](std::span<const Changes::Change> next) {
    require(mdb_txn_begin(env, nullptr, 0, &transaction));
    for (Changes::Change change : next) put(change.value, change.bytes, 0);
    require(mdb_txn_commit(transaction));
  });
  mdb_env_close(env);
}

BENCHMARK(CommitMmsb)->Name("commit_100_deltas/mmsb")->UseRealTime();
BENCHMARK(CommitSqlite)->Name("commit_100_deltas/sqlite")->UseRealTime();
BENCHMARK(CommitLmdb)->Name("commit_100_deltas/lmdb")->UseRealTime();

}  // namespace
}  // namespace mmsb

BENCHMARK_MAIN();
