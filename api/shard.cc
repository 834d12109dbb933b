// Opening: recovery by replay, and the clock.

#include "api/shard.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "api/outcomes.h"

namespace tallystick {
namespace {

// Blocks that statements keep at hand.
constexpr size_t kFetchedBlocks = 16;

std::string Text(Instant instant) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", absl::FromUnixMicros(instant), absl::UTCTimeZone()) +
         " UTC";
}

}  // namespace

Shard::Shard(wal::Io& io, const ShardOptions& options)
    : io_(io),
      options_(options),
      machine_(std::make_unique<ledger::StateMachine>(ledger::Limits{}, options.hash_seed,
                                                      options.regions)) {}

absl::StatusOr<std::unique_ptr<Shard>> Shard::Open(wal::Io& io, const ShardOptions& options) {
  std::unique_ptr<Shard> shard(new Shard(io, options));
  wal::LogTail tail;
  if (absl::Status s = shard->Recover(&tail); !s.ok()) return s;
  if (absl::Status s = shard->CheckClockAtStart(tail); !s.ok()) return s;
  shard->stamp_ = tail.timestamp_us;
  shard->wall_minus_monotonic_ = io.WallMicros() - io.MonotonicMicros();
  absl::StatusOr<std::unique_ptr<wal::LogWriter>> writer =
      wal::LogWriter::Open(io, options.log, std::move(tail));
  if (!writer.ok()) return writer.status();
  shard->writer_ = *std::move(writer);
  shard->fetcher_ = std::make_unique<wal::BlockFetcher>(io, options.log.directory,
                                                        shard->writer_->index(), kFetchedBlocks);
  shard->statements_ =
      std::make_unique<StatementWalk>(*shard->fetcher_, [s = shard.get()](ShardRequest& request) {
        --s->unanswered_;
        s->answer_(request);
      });
  return shard;
}

absl::Status Shard::Recover(wal::LogTail* tail) {
  const std::string& directory = options_.log.directory;
  if (options_.create) {
    tail->identity = options_.log.identity;
    return absl::OkStatus();
  }
  absl::StatusOr<std::unique_ptr<wal::LogReader>> reader =
      wal::LogReader::Open(io_, directory, options_.log.identity);
  if (!reader.ok()) return reader.status();
  wal::BlockView block;
  uint64_t slots = 0;
  while (true) {
    const absl::StatusOr<bool> more = (*reader)->Next(&block);
    if (!more.ok()) return more.status();
    if (!*more) break;
    if (block.header->type != wal::BlockType::kRecords) continue;
    if (absl::Status s = ReplayBlock(block, directory, *machine_); !s.ok()) return s;
    slots += block.slots.size();
  }
  *tail = (*reader)->TakeTail();
  if (tail->segment == 0) {
    return absl::DataLossError(
        absl::StrCat(directory,
                     ": the log of this shard is missing, although the ledger was created with it; "
                     "restore it from a backup"));
  }
  options_.report(absl::StrCat("shard ", number(), ": replayed ", slots, " records up to position ",
                               tail->next_position - 1));
  if (tail->torn) {
    options_.report(absl::StrCat("shard ", number(), ": cut ", tail->cut_bytes,
                                 " bytes that were never acknowledged behind segment ",
                                 tail->segment, " offset ", tail->offset, ": ", tail->cut_reason));
  }
  return absl::OkStatus();
}

absl::Status Shard::CheckClockAtStart(const wal::LogTail& tail) const {
  if (options_.clock != ClockMode::kWall || options_.confirm_clock || tail.timestamp_us == 0) {
    return absl::OkStatus();
  }
  const Instant now = io_.WallMicros();
  if (now - tail.timestamp_us <= kMaxClockGap && tail.timestamp_us - now <= kMaxClockLeap) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      absl::StrCat(options_.log.directory, ": the clock says ", Text(now), ", the log ends at ",
                   Text(tail.timestamp_us), "; if the clock is right, start with --confirm-clock"));
}

void Shard::CheckClock() {
  clock_ = io_.WallMicros();
  if (options_.clock != ClockMode::kWall) return;
  const Instant difference = clock_ - io_.MonotonicMicros();
  const Instant leap = difference - wall_minus_monotonic_;
  if (std::abs(leap) > kMaxClockLeap) {
    failure_ = absl::UnavailableError(absl::StrCat(
        "shard ", number(), " has stopped: the clock leapt by ", leap / kMicrosPerSecond, " s to ",
        Text(clock_), "; put it right, or confirm it with --confirm-clock at the next start"));
  }
  wall_minus_monotonic_ = difference;
}

absl::Status Shard::InstallProgram(const Operation& put, const std::vector<uint8_t>& bytes) {
  ControlRequest request(ShardRequest::Type::kInstallProgram);
  request.put = put;
  request.bytes = bytes;
  CheckClock();
  while (writer_->failure().ok() && !Install(request)) {
    writer_->Tick(io_.MonotonicMicros());
    io_.Poll(-1);
  }
  if (block_open_) SealBlock();
  while (writer_->durable_position() < writer_->next_position() && writer_->failure().ok()) {
    io_.Poll(-1);
  }
  if (!writer_->failure().ok()) return writer_->failure();
  const Outcome outcome = std::get<ProgramPutAnswer>(request.answer).outcome;
  if (outcome == Outcome::Ok) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(
      options_.log.directory, ": version ", put.category(), " of program ", put.program(),
      ", which shard 0 has, could not be completed here: ",
      outcome == Outcome::Overloaded ? writer_->space_status().message() : OutcomeName(outcome)));
}

absl::Status Shard::Stop() {
  const absl::Status stopped = writer_->Stop();
  return failure_.ok() ? stopped : failure_;
}

}  // namespace tallystick
