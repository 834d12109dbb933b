#include "api/tally/log_point.h"

#include <algorithm>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "api/instants.h"
#include "api/replay_block.h"
#include "api/tally/command.h"
#include "api/tally/ledger_log.h"

namespace tallystick::tally {
namespace {

// Instants have colons too, but no number before the first one.
bool NamesShards(absl::string_view text) {
  const size_t colon = text.find(':');
  return colon != text.npos && text.find_first_not_of("0123456789") == colon;
}

}  // namespace

absl::StatusOr<LogPoint> LogPoint::Parse(absl::string_view text) {
  LogPoint point;
  if (Position all = 0; absl::SimpleAtoi(text, &all)) {
    if (all > 0) return LogPoint(all);
    return absl::InvalidArgumentError("position 0 is none: positions begin with 1");
  }
  if (!NamesShards(text)) {
    const absl::StatusOr<Instant> time = ParseInstant(text);
    if (time.ok()) {
      point.time_ = *time;
      return point;
    }
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", text,
        "\" is no point of a log: give a position (1234), one of each shard (0:1234,1:567), or an "
        "instant (2026-01-31T10:00:00Z)"));
  }
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    const std::pair<absl::string_view, absl::string_view> pair =
        absl::StrSplit(part, absl::MaxSplits(':', 1));
    uint32_t shard = 0;
    Position position = 0;
    if (!absl::SimpleAtoi(pair.first, &shard) || shard > std::numeric_limits<uint16_t>::max() ||
        !absl::SimpleAtoi(pair.second, &position) || position == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", part, "\" is no SHARD:POSITION, such as 0:1234"));
    }
    if (!point.shards_.emplace(shard, position).second) {
      return absl::InvalidArgumentError(absl::StrCat("shard ", shard, " is named twice"));
    }
  }
  return point;
}

absl::Status LogPoint::Check(uint16_t shard_count) const {
  if (shards_.empty()) return absl::OkStatus();
  for (uint16_t shard = 0; shard < shard_count; ++shard) {
    if (shards_.count(shard) == 0) {
      return absl::InvalidArgumentError(absl::StrCat("a position is missing for shard ", shard,
                                                     ": the ledger has ", shard_count,
                                                     " shards, name each or none"));
    }
  }
  if (shards_.size() == shard_count) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("there is no shard ", shards_.rbegin()->first,
                                                 ": the ledger has ", shard_count, " shards"));
}

absl::Status LogPoint::CheckEnds(const std::map<uint16_t, Position>& ends) const {
  if (time_.has_value() || (shards_.empty() && !all_.has_value())) return absl::OkStatus();
  Position longest = 0;
  for (const auto& [shard, end] : ends) {
    longest = std::max(longest, end);
    if (!shards_.empty() && PositionOf(shard) > end) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the log of shard ", shard, " ends with position ", end, ", before ", PositionOf(shard)));
    }
  }
  if (!shards_.empty() || *all_ <= longest) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("no shard's log has a position ", *all_, ": the longest ends with ", longest));
}

absl::Status LogPoint::CheckBeginning(uint16_t shard, Position position, Instant log_time) const {
  if (position == 0) return absl::OkStatus();
  if (time_.has_value() ? *time_ >= log_time : PositionOf(shard) >= position) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "the log of shard ", shard, " can be replayed to position ", position, " (",
      InstantText(log_time),
      ") and later points: its first segments are gone, and the oldest snapshot was taken there"));
}

Position LogPoint::PositionOf(uint16_t shard) const {
  const auto found = shards_.find(shard);
  return found == shards_.end() ? all_.value_or(kLast) : found->second;
}

Position PointFollower::LastIn(const wal::BlockView& block) {
  const Position before = block.header->first_position - 1;
  const Position end = before + block.header->count;
  if (!time_.has_value()) return std::clamp(last_, before, end);
  return LastByTime(block);
}

Position PointFollower::LastByTime(const wal::BlockView& block) {
  const wal::BlockHeader& header = *block.header;
  const Position before = header.first_position - 1;
  const Position end = before + header.count;
  if (reached_) return before;
  if (header.type != wal::BlockType::kRecords) {
    return header.timestamp_us <= *time_ ? end : before;
  }
  if ((header.flags & kBlockImportClock) == 0) {
    log_time_ = std::max(log_time_, header.timestamp_us);
    reached_ = log_time_ > *time_;
    return reached_ ? before : end;
  }
  Position last = before;
  // The records of the log's own blocks are whole; if they are not, they are not divided.
  (void)EachRecord(
      block, [&](Position position, const Record& record, absl::Span<const wal::Slot> details) {
        if (reached_) return absl::OkStatus();
        const Operation& operation = record.operation;
        const bool derived = IsDerived(operation.kind());
        if (!derived && operation.kind() != Kind::ProgramPut) {
          log_time_ =
              std::max(log_time_, std::min<Instant>(operation.occurred_at(), header.timestamp_us));
        }
        reached_ = log_time_ > *time_;
        const bool closes =
            derived ? (record.result.flags() & kTicked) != 0 : (operation.flags() & kLinked) == 0;
        if (!reached_ && closes) last = position + details.size();
        return absl::OkStatus();
      });
  return last;
}

}  // namespace tallystick::tally
