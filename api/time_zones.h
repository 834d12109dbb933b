// Time zones, resolved from the host's tz database before anything is logged: replay needs none of
// it.

#ifndef TALLYSTICK_API_TIME_ZONES_H_
#define TALLYSTICK_API_TIME_ZONES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "ledger/program_generated.h"
#include "ledger/types.h"

namespace tallystick {

// Transitions are resolved for instants from 1970-01-01 to this one, 2200-01-01 UTC: longer than
// any points that are earned today can live, and a few kilobytes.
inline constexpr Instant kResolvedUntil = 7'258'118'400 * kMicrosPerSecond;

// By its IANA name. InvalidArgument names a zone that is unknown.
absl::StatusOr<absl::TimeZone> LoadZone(absl::string_view name);

// The zone's offset at 1970-01-01, and every change of it until kResolvedUntil, ascending.
absl::Status ResolveTimeZone(absl::string_view name, int32_t* initial_offset_s,
                             std::vector<Transition>* transitions);

// A civil time in a zone. In a gap: the first instant after it; in an overlap: the earlier one.
Instant CivilToInstant(absl::CivilSecond civil, const absl::TimeZone& zone);

// The program again, with what a writer resolves: its version, the instant from which it is in
// force, and its time zone. Without effective_at that instant is the smallest for version 1, and
// `now` for later ones. InvalidArgument: "time_zone ..." or "effective_at ...".
absl::StatusOr<std::vector<uint8_t>> ResolveProgram(const Program& source, uint16_t version,
                                                    Instant now);

}  // namespace tallystick

#endif  // TALLYSTICK_API_TIME_ZONES_H_
