#include "api/tally/sqlite.h"

#include <sqlite3.h>

#include <utility>

#include "absl/strings/str_cat.h"

namespace tallystick::tally {

SqliteStatement::~SqliteStatement() { sqlite3_finalize(statement_); }

// What is wrong with a value is told by the step that follows.
void SqliteStatement::Bind(int parameter, int64_t value) {
  sqlite3_bind_int64(statement_, parameter, value);
}
void SqliteStatement::Bind(int parameter, absl::string_view text) {
  sqlite3_bind_text(statement_, parameter, text.data(), static_cast<int>(text.size()),
                    SQLITE_STATIC);
}
void SqliteStatement::BindNull(int parameter) { sqlite3_bind_null(statement_, parameter); }

int64_t SqliteStatement::Integer(int column) const {
  return sqlite3_column_int64(statement_, column);
}
std::string SqliteStatement::Text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  return text == nullptr ? "" : text;
}

int SqliteStatement::Step() { return sqlite3_step(statement_); }
void SqliteStatement::Reset() { sqlite3_reset(statement_); }

absl::StatusOr<std::unique_ptr<Sqlite>> Sqlite::Open(const std::string& path) {
  return Open(path, /*vfs=*/nullptr);
}

// https://www.sqlite.org/vfs.html#standard_unix_vfses
absl::StatusOr<std::unique_ptr<Sqlite>> Sqlite::OpenOwn(const std::string& path) {
  return Open(path, "unix-none");
}

absl::StatusOr<std::unique_ptr<Sqlite>> Sqlite::Open(const std::string& path, const char* vfs) {
  sqlite3* database = nullptr;
  const int opened = sqlite3_open_v2(path.c_str(), &database, SQLITE_OPEN_READWRITE, vfs);
  std::unique_ptr<Sqlite> sqlite(new Sqlite(path, database));
  if (opened != SQLITE_OK) return sqlite->Failed();
  sqlite3_extended_result_codes(database, 1);
  return sqlite;
}

Sqlite::~Sqlite() { sqlite3_close_v2(database_); }

absl::Status Sqlite::Failed() const {
  const int code = sqlite3_errcode(database_) & 0xff;
  if (code == SQLITE_NOTADB) {
    return absl::FailedPreconditionError(
        absl::StrCat(path_, " is no SQLite file: name a new file, or one that tally exported to"));
  }
  if (code == SQLITE_BUSY || code == SQLITE_LOCKED) {
    return absl::FailedPreconditionError(
        absl::StrCat(path_, " is in use by another program: try again when that has ended"));
  }
  return absl::UnavailableError(absl::StrCat(
      path_, ": ", sqlite3_errmsg(database_), " (SQLite ", sqlite3_extended_errcode(database_),
      "). Nothing of this export is in it; make room, or repair the file, and export again"));
}

absl::Status Sqlite::Execute(const std::string& sql) {
  const int ran = sqlite3_exec(database_, sql.c_str(), nullptr, nullptr, nullptr);
  return ran == SQLITE_OK ? absl::OkStatus() : Failed();
}

absl::StatusOr<std::unique_ptr<SqliteStatement>> Sqlite::Prepare(absl::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(database_, sql.data(), static_cast<int>(sql.size()), &statement,
                         nullptr) != SQLITE_OK) {
    return Failed();
  }
  return std::make_unique<SqliteStatement>(statement);
}

absl::Status Sqlite::Run(SqliteStatement& statement,
                         const std::function<void(const SqliteStatement&)>& on_row) {
  int step;
  while ((step = statement.Step()) == SQLITE_ROW) {
    if (on_row != nullptr) on_row(statement);
  }
  absl::Status status = step == SQLITE_DONE ? absl::OkStatus() : Failed();
  statement.Reset();
  return status;
}

absl::Status Sqlite::Query(absl::string_view sql,
                           const std::function<void(const SqliteStatement&)>& on_row) {
  auto statement = Prepare(sql);
  return statement.ok() ? Run(**statement, on_row) : statement.status();
}

absl::Status Sqlite::Close() {
  if (sqlite3_close(database_) != SQLITE_OK) return Failed();
  database_ = nullptr;
  return absl::OkStatus();
}

}  // namespace tallystick::tally
