// CHECK: in every build, for what only a bug of this program can cause; never for anything that a
// caller, a file or a disk can.

#ifndef TALLYSTICK_LEDGER_CHECK_H_
#define TALLYSTICK_LEDGER_CHECK_H_

#include <cstdio>
#include <cstdlib>

#define TALLYSTICK_LEDGER_CHECK(condition)                                                   \
  do {                                                                                       \
    if (!(condition)) [[unlikely]] {                                                         \
      std::fprintf(stderr, "%s:%d: broken invariant: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                          \
    }                                                                                        \
  } while (false)

#endif  // TALLYSTICK_LEDGER_CHECK_H_
