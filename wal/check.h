// Stops the program when what only a bug can cause has happened; in every build.

#ifndef TALLYSTICK_WAL_CHECK_H_
#define TALLYSTICK_WAL_CHECK_H_

#include <cstdio>
#include <cstdlib>

namespace tallystick::wal {

[[noreturn]] inline void CheckFailed(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "%s:%d: CHECK failed: %s\n", file, line, condition);
  std::fflush(stderr);
  std::abort();
}

}  // namespace tallystick::wal

#define TALLYSTICK_CHECK(condition)   \
  (__builtin_expect(!!(condition), 1) \
       ? static_cast<void>(0)         \
       : ::tallystick::wal::CheckFailed(__FILE__, __LINE__, #condition))

#endif  // TALLYSTICK_WAL_CHECK_H_
