// Where the ledger's clock is the import clock, log time follows what is sent, never goes back, and
// takes with it what falls due: one operation of a wrong time expires everybody's points, and makes
// the orders in between too old. These keep a single command from doing so unnoticed.
//
// Each asks the server for its shards' log time; on the wall clock it asks nothing, and all is
// well.

#ifndef TALLYSTICK_API_TALLY_LOG_TIME_H_
#define TALLYSTICK_API_TALLY_LOG_TIME_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "api/client.h"
#include "ledger/types.h"

namespace tallystick::tally {

// The latest log time of the shards; not after 1970: the ledger has none yet.
absl::StatusOr<Instant> LatestLogTime(Client& client);

// FailedPrecondition unless log time is within a day of now. `to_do` says what to do instead.
absl::Status CheckNow(Client& client, absl::string_view to_do);

// FailedPrecondition when `at` lies more than 366 days beyond log time: no gap in a shop's orders
// is that long. Any is right for a ledger without log time.
absl::Status CheckStep(Client& client, Instant at);

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_LOG_TIME_H_
