#include "tests/api/sql_file.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <cstdlib>

namespace tallystick {

std::vector<std::vector<std::string>> Sql(const std::string& path, const std::string& statement) {
  std::vector<std::vector<std::string>> rows;
  sqlite3* database = nullptr;
  EXPECT_EQ(sqlite3_open_v2(path.c_str(), &database, SQLITE_OPEN_READWRITE, nullptr), SQLITE_OK)
      << path;
  const auto on_row = [](void* all, int columns, char** texts, char**) {
    std::vector<std::string> row(static_cast<size_t>(columns));
    for (int i = 0; i < columns; ++i) row[i] = texts[i] == nullptr ? "" : texts[i];
    static_cast<std::vector<std::vector<std::string>>*>(all)->push_back(row);
    return 0;
  };
  EXPECT_EQ(sqlite3_exec(database, statement.c_str(), on_row, &rows, nullptr), SQLITE_OK)
      << statement << ": " << sqlite3_errmsg(database);
  sqlite3_close(database);
  return rows;
}

int64_t SqlNumber(const std::string& path, const std::string& statement) {
  const auto rows = Sql(path, statement);
  EXPECT_TRUE(rows.size() == 1 && rows[0].size() == 1) << statement;
  return rows.empty() ? 0 : std::strtoll(rows[0][0].c_str(), nullptr, 10);
}

}  // namespace tallystick
