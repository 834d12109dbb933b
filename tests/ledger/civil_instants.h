#ifndef TALLYSTICK_TESTS_LEDGER_CIVIL_INSTANTS_H_
#define TALLYSTICK_TESTS_LEDGER_CIVIL_INSTANTS_H_

#include <cstdint>

#include "absl/time/civil_time.h"
#include "ledger/types.h"

namespace tallystick::ledger {

struct CivilTime {
  int64_t year;
  int month = 1;
  int day = 1;
  int hour = 0;
  int minute = 0;
};

// The instant at which a clock in UTC shows it; for a clock elsewhere, its local microseconds.
inline Instant Utc(const CivilTime& c, int64_t micros = 0) {
  const absl::CivilSecond civil(c.year, c.month, c.day, c.hour, c.minute);
  return (civil - absl::CivilSecond(1970, 1, 1)) * kMicrosPerSecond + micros;
}

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_TESTS_LEDGER_CIVIL_INSTANTS_H_
