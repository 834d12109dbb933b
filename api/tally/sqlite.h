// SQLite's C interface with owners and statuses: as much of it as exports need.

#ifndef TALLYSTICK_API_TALLY_SQLITE_H_
#define TALLYSTICK_API_TALLY_SQLITE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct sqlite3;
struct sqlite3_stmt;

namespace tallystick::tally {

class SqliteStatement {
 public:
  explicit SqliteStatement(sqlite3_stmt* statement) : statement_(statement) {}
  ~SqliteStatement();
  SqliteStatement(const SqliteStatement&) = delete;
  SqliteStatement& operator=(const SqliteStatement&) = delete;

  // Parameters from 1. A text is valid until the statement has run.
  void Bind(int parameter, int64_t value);
  void Bind(int parameter, absl::string_view text);
  void BindNull(int parameter);
  // Columns from 0, of the row at hand.
  int64_t Integer(int column) const;
  std::string Text(int column) const;

  // Not to be read from: a step of SQLite; see Sqlite::Run.
  int Step();
  void Reset();

 private:
  sqlite3_stmt* const statement_;
};

class Sqlite {
 public:
  // A file that is there.
  static absl::StatusOr<std::unique_ptr<Sqlite>> Open(const std::string& path);
  // An empty file that no other process touches: SQLite locks nothing of it, so that the caller may
  // hold a lock of its own on a descriptor of its own.
  static absl::StatusOr<std::unique_ptr<Sqlite>> OpenOwn(const std::string& path);
  ~Sqlite();
  Sqlite(const Sqlite&) = delete;
  Sqlite& operator=(const Sqlite&) = delete;

  // Statements without answers.
  absl::Status Execute(const std::string& sql);
  absl::StatusOr<std::unique_ptr<SqliteStatement>> Prepare(absl::string_view sql);
  // Runs it to its end, and makes it ready to be run again.
  absl::Status Run(SqliteStatement& statement,
                   const std::function<void(const SqliteStatement& row)>& on_row = nullptr);
  absl::Status Query(absl::string_view sql,
                     const std::function<void(const SqliteStatement& row)>& on_row);
  // Not OK when not all could be written.
  absl::Status Close();

 private:
  static absl::StatusOr<std::unique_ptr<Sqlite>> Open(const std::string& path, const char* vfs);
  Sqlite(std::string path, sqlite3* database) : path_(std::move(path)), database_(database) {}
  absl::Status Failed() const;

  const std::string path_;
  sqlite3* database_;
};

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_SQLITE_H_
