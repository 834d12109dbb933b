#include "api/tally/log_time.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "api/instants.h"

namespace tallystick::tally {
namespace {

constexpr int kLongestStepDays = 366;

}  // namespace

absl::StatusOr<Instant> LatestLogTime(Client& client) {
  const auto answer = client.Shards();
  if (!answer.ok()) return answer.status();
  Instant latest = 0;
  for (const ShardState& shard : answer->shards) latest = std::max(latest, shard.time);
  return latest;
}

absl::Status CheckNow(Client& client, absl::string_view to_do) {
  if (client.server().clock == ClockMode::kWall) return absl::OkStatus();
  const auto log_time = LatestLogTime(client);
  if (!log_time.ok()) return log_time.status();
  if (ToInstant(absl::Now()) - *log_time <= kMicrosPerDay) return absl::OkStatus();
  const std::string is =
      *log_time > 0 ? absl::StrCat("is ", FormatInstant(*log_time)) : "has not begun";
  return absl::FailedPreconditionError(absl::StrCat(
      "nothing was sent: the server has the import clock, and log time ", is,
      "; an operation of now would move it to now for good, expire what is due until then, and "
      "make past orders too old. ",
      to_do));
}

absl::Status CheckStep(Client& client, Instant at) {
  if (client.server().clock == ClockMode::kWall) return absl::OkStatus();
  const auto log_time = LatestLogTime(client);
  if (!log_time.ok()) return log_time.status();
  if (*log_time <= 0 || at - *log_time <= kLongestStepDays * kMicrosPerDay) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "nothing was sent: ", FormatInstant(at), " is more than ", kLongestStepDays,
      " days beyond log time, ", FormatInstant(*log_time),
      ", and would move it there for good, expire what is due until then, and make the orders in "
      "between too old. If that is what you want, say --jump"));
}

}  // namespace tallystick::tally
