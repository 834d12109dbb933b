// Instants as people write them.

#ifndef TALLYSTICK_API_INSTANTS_H_
#define TALLYSTICK_API_INSTANTS_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "ledger/types.h"

namespace tallystick {

// RFC 3339 ("2026-01-31T10:00:00.5+01:00"), or "2026-01-31", "2026-01-31 10:00", "2026-01-31
// 10:00:30", which are UTC. After 1970-01-01 and before the year 10000, as every instant that a
// caller may name.
absl::StatusOr<Instant> ParseInstant(absl::string_view text);

// "2026-01-31", "2026-01-31 10:00" or "2026-01-31 10:00:30", in whatever zone the caller means.
absl::StatusOr<absl::CivilSecond> ParseCivil(absl::string_view text);

// "2026-01-31T09:00:00.500000Z".
std::string FormatInstant(Instant instant);

// Days since 1970-01-01 UTC, and the day as text: "2026-01-31".
int64_t UtcDay(Instant instant);
std::string DayText(int64_t day);

// Rounds down to the microsecond.
inline Instant ToInstant(absl::Time time) { return absl::ToUnixMicros(time); }

}  // namespace tallystick

#endif  // TALLYSTICK_API_INSTANTS_H_
