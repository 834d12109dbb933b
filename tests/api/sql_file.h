// Plain SQL on an SQLite file, as whoever gets an export would ask it.

#ifndef TALLYSTICK_TESTS_API_SQL_FILE_H_
#define TALLYSTICK_TESTS_API_SQL_FILE_H_

#include <cstdint>
#include <string>
#include <vector>

namespace tallystick {

// Rows with their columns as text, "" for null. Statements that cannot run fail the test.
std::vector<std::vector<std::string>> Sql(const std::string& path, const std::string& statement);

// Of a statement that gives one number.
int64_t SqlNumber(const std::string& path, const std::string& statement);

}  // namespace tallystick

#endif  // TALLYSTICK_TESTS_API_SQL_FILE_H_
