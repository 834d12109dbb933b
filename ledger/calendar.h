// Civil dates in a program's time zone, from transitions that the log carries: no time zone data of
// the host.

#ifndef TALLYSTICK_LEDGER_CALENDAR_H_
#define TALLYSTICK_LEDGER_CALENDAR_H_

#include <cstdint>
#include <vector>

#include "ledger/program_generated.h"
#include "ledger/types.h"

namespace tallystick::ledger {

// Local microseconds: what a wall clock in the zone shows, counted as if it were UTC.
using LocalMicros = int64_t;

class Calendar {
 public:
  // `transitions` ascending by `at`.
  Calendar(int32_t initial_offset_s, std::vector<Transition> transitions);

  LocalMicros ToLocal(Instant instant) const;
  // A month as the calendar in the zone shows it, and instants around the one that was asked for
  // which are in it too.
  struct Month {
    int32_t number = 0;  // since January 1970
    Instant first = 0;
    Instant last = -1;
  };
  Month MonthOf(Instant instant) const;
  // Since local midnight, as the wall clock shows it.
  LocalMicros TimeOfDay(Instant instant) const;
  // A local time in a gap: the first instant after it; in an overlap: the earlier one.
  Instant ToInstant(LocalMicros local) const;

  // Keep local time; months clamp to the last day.
  Instant AddDays(Instant instant, int32_t days) const;
  Instant AddMonths(Instant instant, int32_t months) const;
  // The first instant after the period in which `instant` lies. REQUIRES: period != none.
  Instant EndOf(Period period, Instant instant) const;

  // Whether local time passes evenly from `first` to `last`, and no gap or overlap is near.
  bool IsPlain(Instant first, Instant last) const;

 private:
  // O(log transitions).
  int64_t OffsetMicros(Instant instant) const;

  int64_t initial_offset_us_;
  std::vector<Transition> transitions_;
};

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_LEDGER_CALENDAR_H_
