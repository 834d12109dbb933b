// A point of a ledger's logs, as people name it: where a replay or a restored copy ends.

#ifndef TALLYSTICK_API_TALLY_LOG_POINT_H_
#define TALLYSTICK_API_TALLY_LOG_POINT_H_

#include <cstdint>
#include <limits>
#include <map>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ledger/types.h"
#include "wal/log_reader.h"

namespace tallystick::tally {

class LogPoint {
 public:
  // The end of every log.
  LogPoint() = default;
  // A position of each shard's own log, the last that belongs to it: the same number for all.
  explicit LogPoint(Position all) : all_(all) {}

  // "1234": that position, of each shard; "0:1234,1:567": of shards 0 and 1; else an instant as
  // ParseInstant reads it: what happened up to it, by log time. InvalidArgument: it is none.
  static absl::StatusOr<LogPoint> Parse(absl::string_view text);

  // InvalidArgument unless it suits a ledger of so many shards: if it names shards, then each.
  absl::Status Check(uint16_t shard_count) const;
  // InvalidArgument when the shards' logs end before it: `ends` has each shard's last position. A
  // number for all must be in one of the logs.
  absl::Status CheckEnds(const std::map<uint16_t, Position>& ends) const;

  // InvalidArgument when it lies before the state that a replay of this shard begins with.
  absl::Status CheckBeginning(uint16_t shard, Position position, Instant log_time) const;

  // The greatest position there is, if it names none.
  Position PositionOf(uint16_t shard) const;
  const std::optional<Instant>& time() const { return time_; }

 private:
  static constexpr Position kLast = std::numeric_limits<Position>::max();

  std::optional<Position> all_;  // none: the end
  std::map<uint16_t, Position> shards_;
  std::optional<Instant> time_;
};

// Goes through one shard's log beside a point, from the first block, or behind one that `log_time`
// is the log time of.
class PointFollower {
 public:
  PointFollower(const LogPoint& point, uint16_t shard, Instant log_time = 0)
      : last_(point.PositionOf(shard)), time_(point.time()), log_time_(log_time) {}

  // The last position of this block that belongs to the point; the one before the block: none does.
  // With a time, what belongs together (a settling with its operation, a chain) is not divided; a
  // block that holds no records belongs to it by its stamp.
  Position LastIn(const wal::BlockView& block);

 private:
  Position LastByTime(const wal::BlockView& block);

  const Position last_;
  const std::optional<Instant> time_;
  Instant log_time_;
  bool reached_ = false;
};

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_LOG_POINT_H_
