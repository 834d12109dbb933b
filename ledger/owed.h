// What a program owes, by the month in which it expires.

#ifndef TALLYSTICK_LEDGER_OWED_H_
#define TALLYSTICK_LEDGER_OWED_H_

#include <cstdint>
#include <limits>
#include <map>

#include "ledger/types.h"

namespace tallystick::ledger {

// From this month on, January 3000, expiries are not told apart: rules reach a hundred years, and
// what is told of a program's months stays bounded. Months count from January 1970.
inline constexpr int32_t kFirstLateMonth = (3000 - 1970) * 12;
// Of a count: as accounts stand.
inline constexpr Instant kAsTheyStand = std::numeric_limits<Instant>::min();

struct OwedPoints {
  Points pending = 0;
  Points available = 0;
  Points held = 0;

  bool empty() const { return (pending | available | held) == 0; }
  OwedPoints& operator+=(const OwedPoints& other) {
    pending += other.pending;
    available += other.available;
    held += other.held;
    return *this;
  }
  friend bool operator==(const OwedPoints&, const OwedPoints&) = default;
};

// Sums over members. The month of points is the last one, in the zone of the program's newest
// version, in which they are good: `expires_at` is exclusive, so what is gone with the first
// instant of February is January's. What is held counts by its lots' dates, which may be past.
struct Owed {
  std::map<int32_t, OwedPoints> months;  // that have points, before kFirstLateMonth
  OwedPoints later;
  OwedPoints never;
  Points debt = 0;

  OwedPoints Sum() const {
    OwedPoints sum = later;
    sum += never;
    for (const auto& [month, points] : months) sum += points;
    return sum;
  }
};

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_LEDGER_OWED_H_
